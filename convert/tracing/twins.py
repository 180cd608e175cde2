"""Whether two graphs, traced at two sizes, are one and the same: then no node holds a size."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import onnx_ir as ir

__all__ = ["are_twins"]

Places: TypeAlias = dict[ir.Value, tuple[int, int]]
"""Which node makes a value, and as its how manieth output; -1 for what the graph is given."""


def are_twins(one: ir.Model, other: ir.Model) -> bool:
    """Whether both graphs have the same nodes, attributes and constants."""
    if len(one.graph) != len(other.graph):
        return False
    places = _places_of(one.graph), _places_of(other.graph)
    return all(
        _same_kind(first, second) and _same_inputs(first, second, places)
        for first, second in zip(_in_order(one.graph), _in_order(other.graph), strict=True)
    )


def _in_order(graph: ir.Graph) -> list[ir.Node]:
    """Return the nodes as they are met going back from the outputs, what they read before them.

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


def _places_of(graph: ir.Graph) -> Places:
    """Return where each value that is computed or given comes from; names may differ."""
    given = {value: (-1, k) for k, value in enumerate(graph.inputs)}
    made = {
        value: (index, k)
        for index, node in enumerate(_in_order(graph))
        for k, value in enumerate(node.outputs)
    }
    return given | made


def _same_kind(one: ir.Node, other: ir.Node) -> bool:
    """Whether both are the same operator with the same attributes."""
    return (
        one.op_type == other.op_type
        and len(one.inputs) == len(other.inputs)
        and set(one.attributes) == set(other.attributes)
        and all(_same_attribute(a, other.attributes[name]) for name, a in one.attributes.items())
    )


def _same_inputs(one: ir.Node, other: ir.Node, places: tuple[Places, Places]) -> bool:
    """Whether two nodes of the same kind read the same constants, and values of the same place."""
    return all(_same_input(*pair, places) for pair in zip(one.inputs, other.inputs, strict=True))


def _same_input(
    one: ir.Value | None, other: ir.Value | None, places: tuple[Places, Places]
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
