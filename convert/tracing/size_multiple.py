"""What height and width must be multiples of, read off the strides of a graph."""

from __future__ import annotations

from math import lcm

import onnx_ir as ir

from ..passes.nodes import constant_of

__all__ = ["size_multiple"]

_IMAGE_RANK = 4


def size_multiple(model: ir.Model) -> int:
    """Return what height and width must be multiples of.

    A side must be halved as often as the deepest path does: the product of its strides, less what
    transposed convolutions and resizing give back on the way.
    """
    reached: dict[ir.Value, tuple[int, int]] = {}
    multiple = 1
    for node in model.graph:
        given = [reached.get(value, (1, 1)) for value in node.inputs if value is not None]
        down, up = _factors(node)
        sides = [max((g[axis] for g in given), default=1) for axis in (0, 1)]
        made = tuple(max(1, s * d // u) for s, d, u in zip(sides, down, up, strict=True))
        reached.update(dict.fromkeys(node.outputs, made))
        multiple = lcm(multiple, *made)
    return multiple


def _factors(node: ir.Node) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return by how much a node shrinks and stretches height and width."""
    if node.op_type == "Resize":
        scales = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None  # noqa: PLR2004
        if scales is not None and scales.size == _IMAGE_RANK:
            return (1, 1), (max(1, int(scales[2])), max(1, int(scales[3])))
    strides = node.attributes.get("strides")
    if strides is None or len(strides.as_ints()) != 2:  # noqa: PLR2004
        return (1, 1), (1, 1)
    rows, columns = strides.as_ints()
    if node.op_type == "ConvTranspose":
        return (1, 1), (rows, columns)
    return (rows, columns), (1, 1)
