"""Which heights and widths a graph takes, read off its strides and its answer."""

from __future__ import annotations

from math import lcm

import onnx_ir as ir

from unetrt.sizes import SizeRule

from ..passes.nodes import constant_of

__all__ = ["size_rule"]

_IMAGE_RANK = 4


def size_rule(model: ir.Model) -> SizeRule:
    """Return which heights and widths the graph takes, which was traced at one that it does.

    A side must be halved as often as the deepest path does: the product of its strides, less what
    transposed convolutions and resizing give back on the way. An answer at the image's scale that
    is smaller all the same is that of a network without padding: then the side it was traced at
    has the remainder that all must have.
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
    full = [value for value in model.graph.outputs if reached.get(value, (1, 1)) == (1, 1)]
    images = [_sides(value) for value in (*model.graph.inputs, *full) if _is_image(value)]
    if len(images) == 2:  # noqa: PLR2004  (one image in, one answer out)
        (height, width), answer = images
        lost = {height - answer[0], width - answer[1]}
        if len(lost) == 1 and min(lost) > 0 and min(lost) % 2 == 0:
            return SizeRule(multiple, height % multiple, lost.pop() // 2)
    return SizeRule(multiple)


def _is_image(value: ir.Value) -> bool:
    shape = value.shape
    fixed = shape is not None and len(shape) == _IMAGE_RANK
    return fixed and all(isinstance(side, int) for side in list(shape)[1:3])


def _sides(value: ir.Value) -> tuple[int, int]:
    return int(value.shape[1]), int(value.shape[2])


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
