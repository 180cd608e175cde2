"""How much memory a network works in, read off its graph."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from .receptive_field import seen_by_value
from .sight.reach import Seen

__all__ = ["bytes_per_pixel"]


def bytes_per_pixel(model: ir.Model, layout: str) -> float:
    """Return the bytes of all values that are needed at once, for each pixel of the image.

    The most there are while the nodes run one after another, nothing computed in place; a library
    that fuses or reorders layers needs less, or some more.
    """
    seen = seen_by_value(model.graph, layout)
    nodes = list(model.graph)
    last_read = {value: number for number, node in enumerate(nodes) for value in node.inputs}
    last_read.update(dict.fromkeys(model.graph.outputs, len(nodes)))
    live = sum(_bytes(value, seen.get(value)) for value in model.graph.inputs)
    most = live
    for number, node in enumerate(nodes):
        live += sum(_bytes(value, seen.get(value)) for value in node.outputs)
        most = max(most, live)
        for value in {value for value in node.inputs if value is not None}:
            if last_read[value] == number and value in seen:
                live -= _bytes(value, seen[value])
    return float(most)


def _bytes(value: ir.Value, seen: Seen | None) -> float:
    """Return the bytes of a value for each pixel of the image; those without axes count nothing."""
    if seen is None or seen.axes is None or value.shape is None or value.dtype is None:
        return 0.0
    others = [size for axis, size in enumerate(value.shape) if axis and axis not in seen.axes]
    each = prod(size for size in others if isinstance(size, int)) * value.dtype.itemsize
    return float(each / (seen.rows.stride * seen.columns.stride))
