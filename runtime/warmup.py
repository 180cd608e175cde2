"""What a session runs before its first real run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.tensors import TensorSpec

__all__ = ["warmup_inputs"]

_IMAGE_RANK = 4

Shape = tuple[int, ...]


def warmup_inputs(
    artifact: OnnxModel | Engine, sizes: Sequence[tuple[int, int]] | None
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield zeros of the shapes to run once at: of `sizes`, heights and widths.

    Without them, of the shapes that an engine was tuned for, or those that the artifact fixes; of
    none where it leaves a side free.
    """
    profiles = artifact.made_with.get("profiles", {})
    for size in [None] if sizes is None else sizes:
        shapes = [
            tuple(map(int, profiles[t.name][1]))
            if size is None and t.name in profiles
            else _fixed(t, artifact.layout, size)
            for t in artifact.inputs
        ]
        known = [shape for shape in shapes if shape is not None]
        if len(known) == len(shapes):
            yield {
                t.name: np.zeros(shape, t.dtype)
                for t, shape in zip(artifact.inputs, known, strict=True)
            }


def _fixed(tensor: TensorSpec, layout: str, size: tuple[int, int] | None) -> Shape | None:
    """Return the tensor's shape, a batch of one if it is free; None where a side stays free."""
    shape = list(tensor.shape)
    if shape and isinstance(shape[0], str):
        shape[0] = 1
    if size is not None and len(shape) == _IMAGE_RANK:
        first = 2 if layout == "NCHW" else 1
        for axis, side in enumerate(size, start=first):
            shape[axis] = side
    known = [side for side in shape if isinstance(side, int)]
    return tuple(known) if len(known) == len(shape) else None
