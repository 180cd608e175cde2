"""Which layers would leave float16's range, on real images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import UnsupportedModel

from ..activations import Activations

__all__ = ["LIMIT", "check_float16"]

LIMIT = 65504 / 2
"""Half of float16's largest: other images than those looked at may go further."""

_NAMED = 8


def check_float16(
    path: Path,
    feeds: Iterable[Mapping[str, NDArray[Any]]],
    read: Mapping[str, list[str]],
    fillers: Collection[float] = (),
) -> None:
    """Run a float32 file; refuse where a value that nodes have in float16 goes beyond `LIMIT`.

    Args:
        path: the float32 file.
        feeds: inputs by name, one run after another.
        read: for each value, the names of the nodes that read or make it in float16.
        fillers: magnitudes that do not count; float16 has its largest for them.

    Raises:
        UnsupportedModel: names the layers, the values, and the --keep that mends it.
    """
    activations = Activations(path, read)
    largest = dict.fromkeys(read, 0.0)
    for feed in feeds:
        for name, array in activations.run(feed):
            magnitudes = np.abs(array)
            if fillers:
                magnitudes = magnitudes[~np.isin(magnitudes, list(fillers))]
            if magnitudes.size:
                # np.maximum, not max: it keeps a NaN.
                largest[name] = float(np.maximum(largest[name], magnitudes.max()))
    beyond = {name: value for name, value in largest.items() if not value <= LIMIT}
    if not beyond:
        return
    layers = list(dict.fromkeys(node for name in beyond for node in read[name]))
    found = [f"{name} reaches {value:.3g}" for name, value in list(beyond.items())[:_NAMED]]
    more = f" and {len(beyond) - _NAMED} more" if len(beyond) > _NAMED else ""
    raise UnsupportedModel(
        f"{path} does not fit float16 on these images",
        got=", ".join(found) + more,
        expected=f"at most {LIMIT:.0f}, half of float16's largest, as other images may go further",
        hint="keep these layers in float32, or choose bf16: "
        + " ".join(f"--keep {layer}" for layer in layers),
    )
