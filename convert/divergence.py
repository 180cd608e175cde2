"""Find the first value that differs between two ONNX files of one network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel
from unetrt.tensors import TO_NCHW, TO_NHWC

from .activations import Activations
from .onnx_file import read_graph

__all__ = ["Divergence", "first_divergence"]


@dataclass(frozen=True, slots=True)
class Divergence:
    """Describe a value that both files compute, and not alike.

    Attributes:
        layer: name of the value, which is that of its node and of its Keras layer.
        relative: largest difference over the reference's largest magnitude; NaN or infinite where
            the candidate is.
        before: the number of values compared before it, all within the tolerance.
    """

    layer: str
    relative: float
    before: int

    def __str__(self) -> str:
        return f"{self.layer!r}, off by {self.relative:.2g} of its largest value"


def first_divergence(
    reference: OnnxModel,
    candidate: OnnxModel,
    feeds: tuple[Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]],
    tolerance: float,
) -> Divergence | None:
    """Run both files on the same pixels and return the first value that differs, in graph order.

    Only values that both have are compared, by name: a retyped or edited file keeps the names.

    Args:
        reference: the file that is right.
        candidate: the file that is not.
        feeds: the inputs of each, in its own types, shapes and layout.
        tolerance: largest difference over the reference's largest magnitude, see
            `Precision.divergence`.

    Returns:
        None where no value differs by more than the tolerance.

    Raises:
        BadInput: a file cannot be run on the CPU.

    >>> from pathlib import Path
    >>> from unetrt.convert.precision import to_precision
    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> half = to_precision(model, Path("half.onnx"))
    >>> x = {"image": np.random.default_rng(0).normal(size=(1, 32, 32, 1)).astype(np.float32)}
    >>> first_divergence(model, half, (x, x), half.precision.divergence) is None
    True
    >>> first_divergence(model, half, (x, x), tolerance=0).layer
    'down1/conv1'
    """
    shared = _value_names(read_graph(reference)) & _value_names(read_graph(candidate))
    runs = (
        Activations(candidate.path, shared).run(feeds[1]),
        Activations(reference.path, shared).run(feeds[0]),
    )
    same_layout = reference.layout == candidate.layout
    for compared, (layer, actual, expected) in enumerate(_paired(*runs)):
        layouts = [expected] if same_layout else [expected, *_other_layouts(expected)]
        relative = min(_relative_difference(actual, array) for array in layouts)
        if not relative <= tolerance:  # NaN is a difference too
            return Divergence(layer, relative, compared)
    return None


def _value_names(model: ir.Model) -> set[str]:
    return {value.name for node in model.graph for value in node.outputs if value.name}


def _paired(
    actual: Iterator[tuple[str, NDArray[Any]]], expected: Iterator[tuple[str, NDArray[Any]]]
) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Yield the values of both, in the candidate's order; the reference's wait for their turn."""
    waiting: dict[str, NDArray[Any]] = {}
    for name, array in actual:
        while name not in waiting:
            other, its = next(expected)
            waiting[other] = its
        yield name, array, waiting.pop(name)


def _other_layouts(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Return an image's other layouts, which files of two layouts may have between their edges."""
    return [array.transpose(perm) for perm in (TO_NCHW, TO_NHWC) if array.ndim == len(perm)]


def _relative_difference(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    if actual.shape != expected.shape:
        return float("inf")
    wide = expected.astype(np.float64)
    scale = float(np.abs(wide).max(initial=0.0)) or 1.0
    return float(np.abs(actual - wide).max(initial=0.0)) / scale
