"""Free height and width where it can be proven that no node holds them."""

from __future__ import annotations

from math import lcm
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from unetrt.errors import UnsupportedModel
from unetrt.sizes import SizeRule

from .passes.free_axes import FreeAxes, holds_no_size
from .passes.nodes import constant_of, is_image
from .trace import Source, clean_trace

__all__ = ["size_rule", "trace_free"]

_STEP = 128
"""Pixels by which a second trace is larger, at least."""

_Places: TypeAlias = dict[ir.Value, tuple[int, int]]
"""The number of the node that makes a value, -1 for the graph's inputs, and of the output."""


def trace_free(source: Source, opset: int, size: tuple[int, int]) -> tuple[ir.Model, SizeRule]:
    """Trace `source` near `size`, and free height and width where the graph holds at every size.

    That is proven by nodes of kinds that hold no size, if all layers are Keras' own; else by a
    second trace at another size that gives an identical graph. Elsewhere the graph keeps the size
    it was traced at, whatever its strides.

    Args:
        source: the network.
        opset: of the graph, 17 or 18.
        size: height and width, in pixels, to trace at.

    Returns:
        The graph, and the rule of the heights and widths that it takes.

    Raises:
        UnsupportedModel: see `clean_trace`.
    """
    graph = clean_trace(source, opset, size)
    images = [tensor for tensor in source.inputs if tensor.is_image]
    if not images:
        return graph, SizeRule()
    rule = size_rule(graph)
    fixed = SizeRule(margin=rule.margin)
    has_free_sides = all(isinstance(side, str) for tensor in images for side in tensor.sides())
    if has_free_sides and not all(map(rule.fits, size)):
        # The padding of 'same' depends on the remainder: none, at the sizes that will be run.
        height, width = map(rule.at_least, size)
        fitting = clean_trace(source, opset, (height, width))
        if _is_free(source, fitting, opset, (height, width), rule):
            FreeAxes()(fitting)
            return fitting, rule
        return graph, fixed
    sides = [side for value in filter(is_image, graph.graph.inputs) for side in value.shape[1:3]]
    if all(map(rule.fits, sides)) and _is_free(source, graph, opset, size, rule):
        FreeAxes()(graph)
        return graph, rule
    return graph, fixed


def size_rule(model: ir.Model) -> SizeRule:
    """Return the rule of the heights and widths that a graph takes, traced at one that fits.

    A side must be halved as often as the deepest path does: the product of its strides, less what
    transposed convolutions and resizing give back on the way. An output at the image's scale that
    is smaller all the same is that of a network without padding: then the side it was traced at
    has the remainder that all must have.
    """
    scales: dict[ir.Value, tuple[int, int]] = {}
    multiple = 1
    for node in model.graph:
        read = [scales.get(value, (1, 1)) for value in node.inputs if value is not None]
        down, up = _factors(node)
        sides = [max((scale[axis] for scale in read), default=1) for axis in (0, 1)]
        scale = tuple(max(1, s * d // u) for s, d, u in zip(sides, down, up, strict=True))
        scales.update(dict.fromkeys(node.outputs, scale))
        multiple = lcm(multiple, *scale)
    full = [value for value in model.graph.outputs if scales.get(value, (1, 1)) == (1, 1)]
    images = [own for value in (*model.graph.inputs, *full) if (own := _fixed_sides(value))]
    if len(images) == 2:  # noqa: PLR2004  (one image in, one map out)
        (height, width), out = images
        lost = {height - out[0], width - out[1]}
        if len(lost) == 1 and min(lost) > 0 and min(lost) % 2 == 0:
            return SizeRule(multiple, height % multiple, lost.pop() // 2)
    return SizeRule(multiple)


def _fixed_sides(value: ir.Value) -> tuple[int, int] | None:
    """Return height and width of an image [batch, height, width, channels] that fixes them."""
    sides = list(value.shape)[1:3] if is_image(value) else []
    fixed = len(sides) > 0 and all(isinstance(side, int) for side in sides)
    return (sides[0], sides[1]) if fixed else None


def _factors(node: ir.Node) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return by how much a node shrinks and stretches height and width."""
    if node.op_type == "Resize":
        scales = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None  # noqa: PLR2004
        if scales is not None and scales.size == 4:  # noqa: PLR2004
            return (1, 1), (max(1, int(scales[2])), max(1, int(scales[3])))
    strides = node.attributes.get("strides")
    if strides is None or len(strides.as_ints()) != 2:  # noqa: PLR2004
        return (1, 1), (1, 1)
    rows, columns = strides.as_ints()
    if node.op_type == "ConvTranspose":
        return (1, 1), (rows, columns)
    return (rows, columns), (1, 1)


def _is_free(
    source: Source, graph: ir.Model, opset: int, size: tuple[int, int], rule: SizeRule
) -> bool:
    only_images = all(is_image(v) for v in graph.graph.outputs if v.shape is not None)
    if source.is_plain and only_images and holds_no_size(graph):
        return True
    images = [tensor for tensor in source.inputs if tensor.is_image]
    if any(isinstance(side, int) for tensor in images for side in tensor.sides()):
        return False  # it can be traced at no other
    step = -(-_STEP // rule.multiple) * rule.multiple
    try:
        other = clean_trace(source, opset, (size[0] + step, size[1] + 2 * step))
    except UnsupportedModel:
        return False  # some layer takes only the first size
    return _are_identical(graph, other) and _other_outputs(graph) == _other_outputs(other)


def _other_outputs(graph: ir.Model) -> list[list[int | str]]:
    """Return the shapes, without the batch, of outputs that are not images: they name no side."""
    return [list(value.shape[1:]) for value in graph.graph.outputs if not is_image(value)]


def _are_identical(one: ir.Model, other: ir.Model) -> bool:
    """Return whether both graphs have the same nodes, attributes and constants."""
    if len(one.graph) != len(other.graph):
        return False
    places = _places_of(one.graph), _places_of(other.graph)
    return all(
        _same_kind(first, second) and _same_inputs(first, second, places)
        for first, second in zip(_in_order(one.graph), _in_order(other.graph), strict=True)
    )


def _in_order(graph: ir.Graph) -> list[ir.Node]:
    """Return the nodes in the order of a walk back from the outputs, each after those it reads.

    The graph's own order is one of many: tf2onnx sorts nodes by names that it counts.
    """
    ordered: dict[ir.Node, None] = {}
    waiting = [value.producer() for value in reversed(graph.outputs)]
    while waiting:
        node = waiting.pop()
        if node is None or node in ordered:
            continue
        before = [v.producer() for v in node.inputs if v is not None and v.producer() is not None]
        unmet = [producer for producer in before if producer not in ordered]
        if unmet:
            waiting += [node, *reversed(unmet)]
        else:
            ordered[node] = None
    return list(ordered)


def _places_of(graph: ir.Graph) -> _Places:
    """Return the place of each value; its name may differ between graphs that are identical."""
    inputs = {value: (-1, k) for k, value in enumerate(graph.inputs)}
    outputs = {
        value: (index, k)
        for index, node in enumerate(_in_order(graph))
        for k, value in enumerate(node.outputs)
    }
    return inputs | outputs


def _same_kind(one: ir.Node, other: ir.Node) -> bool:
    """Return whether both are the same operator with the same attributes."""
    return (
        one.op_type == other.op_type
        and len(one.inputs) == len(other.inputs)
        and set(one.attributes) == set(other.attributes)
        and all(_same_attribute(a, other.attributes[name]) for name, a in one.attributes.items())
    )


def _same_inputs(one: ir.Node, other: ir.Node, places: tuple[_Places, _Places]) -> bool:
    """Return whether two nodes read the same constants, and values of the same place."""
    return all(_same_input(*pair, places) for pair in zip(one.inputs, other.inputs, strict=True))


def _same_input(
    one: ir.Value | None, other: ir.Value | None, places: tuple[_Places, _Places]
) -> bool:
    if one is None or other is None:
        return one is other
    if one.const_value is not None and other.const_value is not None:
        return bool(np.array_equal(one.const_value.numpy(), other.const_value.numpy()))
    return bool(places[0].get(one) == places[1].get(other))


def _same_attribute(one: ir.Attr, other: ir.Attr) -> bool:
    if one.type == ir.AttributeType.TENSOR:
        return bool(np.array_equal(one.value.numpy(), other.value.numpy()))
    return bool(one.value == other.value)
