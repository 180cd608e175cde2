"""Find the first value that differs between two ONNX files of one network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel

from .activations import Activations
from .onnx_file import read_graph

__all__ = ["first_difference"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that both files compute, and not alike.

    Attributes:
        layer: name of the value, which is its node's, which is its Keras layer's.
        relative: largest difference over the reference's largest magnitude; NaN or infinite where
            the candidate is.
        before: the values compared before it, all within the tolerance.
    """

    layer: str
    relative: float
    before: int

    def __str__(self) -> str:
        return f"{self.layer!r}, off by {self.relative:.2g} of its largest value"


def first_difference(
    reference: OnnxModel,
    candidate: OnnxModel,
    feeds: tuple[Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]],
    tolerance: float,
) -> Difference | None:
    """Run both files on the same pixels and return the first value that parts, in graph order.

    Only values that both have are compared, by name: a retyped or edited file keeps the names.

    Args:
        reference: the file that is right.
        candidate: the file that is not.
        feeds: the inputs of each, in its own types and layout.
        tolerance: largest difference over the reference's largest magnitude.

    Raises:
        BadInput: a file cannot be run on the CPU.
    """
    first, second = read_graph(reference), read_graph(candidate)
    shared = _values(first) & _values(second)
    runs = (
        Activations(candidate.path, shared).run(feeds[1]),
        Activations(reference.path, shared).run(feeds[0]),
    )
    turned = reference.layout != candidate.layout
    for compared, (layer, actual, expected) in enumerate(_paired(*runs)):
        ways = (expected, *_turned(expected)) if turned else (expected,)
        relative = min(_relative(actual, way) for way in ways)
        if not relative <= tolerance:  # NaN parts too
            return Difference(layer, relative, compared)
    return None


def _values(model: ir.Model) -> set[str]:
    return {value.name for node in model.graph for value in node.outputs if value.name}


def _paired(
    actual: Iterator[tuple[str, NDArray[Any]]], expected: Iterator[tuple[str, NDArray[Any]]]
) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Yield what both have, in the candidate's order; what one has first waits for the other."""
    waiting: dict[str, NDArray[Any]] = {}
    for name, array in actual:
        while name not in waiting:
            other, its = next(expected)
            waiting[other] = its
        yield name, array, waiting.pop(name)


def _turned(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Return an image's two other layouts: between the edges, files of two layouts may differ."""
    if array.ndim != 4:  # noqa: PLR2004
        return []
    return [array.transpose(0, 3, 1, 2), array.transpose(0, 2, 3, 1)]


def _relative(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    if actual.shape != expected.shape:
        return float("inf")
    wide = expected.astype(np.float64)
    scale = float(np.abs(wide).max(initial=0.0)) or 1.0
    return float(np.abs(actual - wide).max(initial=0.0)) / scale
