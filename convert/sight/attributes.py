"""The attributes of nodes that say how far they see."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..passes.nodes import constant_of

__all__ = ["kernel_of", "number_of", "pads_of", "pair_of", "reduced_axes", "text_of"]


def kernel_of(node: ir.Node) -> tuple[int, int] | None:
    """Return height and width of a window; None where it has others, or none that is known."""
    if "kernel_shape" in node.attributes:
        sides = tuple(node.attributes["kernel_shape"].as_ints())
    elif node.op_type.startswith("Conv") and node.inputs[1].shape is not None:
        sides = tuple(int(side) for side in list(node.inputs[1].shape)[2:])
    else:
        return None
    return (sides[0], sides[1]) if len(sides) == 2 else None  # noqa: PLR2004


def pads_of(
    node: ir.Node, kernels: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return (begin, end) along each axis, at sides that the strides divide."""
    auto = text_of(node, "auto_pad", "NOTSET")
    if auto.startswith("SAME"):
        totals = [
            max(0, dilation * (kernel - 1) + 1 - stride)
            for kernel, stride, dilation in zip(kernels, strides, dilations, strict=True)
        ]
        halves = [(total // 2, total - total // 2) for total in totals]
        return halves if auto == "SAME_UPPER" else [(end, begin) for begin, end in halves]
    if auto == "VALID" or "pads" not in node.attributes:
        return [(0, 0), (0, 0)]
    top, left, bottom, right = node.attributes["pads"].as_ints()
    return [(top, bottom), (left, right)]


def reduced_axes(node: ir.Node, rank: int) -> list[int] | None:
    """Return the axes; None where they are all, or not known."""
    if node.op_type.startswith("Arg"):
        return [number_of(node, "axis", 0) % rank]
    if "axes" in node.attributes:
        axes: Sequence[int] = node.attributes["axes"].as_ints()
    else:
        array = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
        if array is None:
            return None
        axes = array.tolist()
    return [axis % rank for axis in axes]


def pair_of(node: ir.Node, name: str, default: int) -> tuple[int, int]:
    """Return an attribute of two numbers."""
    if name not in node.attributes:
        return default, default
    first, second = node.attributes[name].as_ints()
    return first, second


def number_of(node: ir.Node, name: str, default: int) -> int:
    """Return an attribute of one number."""
    return node.attributes[name].as_int() if name in node.attributes else default


def text_of(node: ir.Node, name: str, default: str) -> str:
    """Return an attribute of text."""
    return node.attributes[name].as_string() if name in node.attributes else default
