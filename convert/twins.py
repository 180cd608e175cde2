"""Whether two graphs, traced at two sizes, are one and the same: then no node holds a size."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

__all__ = ["are_twins"]


def are_twins(one: ir.Model, other: ir.Model) -> bool:
    """Whether both graphs have the same nodes, attributes and constants, in the same order."""
    pairs = list(zip(one.graph, other.graph, strict=False))
    if len(one.graph) != len(other.graph):
        return False
    places = _places(one.graph), _places(other.graph)
    return all(_same_node(*pair, places) for pair in pairs)


def _places(graph: ir.Graph) -> dict[ir.Value, tuple[int, int]]:
    """Return where each value that is computed or given comes from; names may differ."""
    given = {value: (-1, k) for k, value in enumerate(graph.inputs)}
    made = {
        value: (index, k)
        for index, node in enumerate(graph)
        for k, value in enumerate(node.outputs)
    }
    return given | made


def _same_node(
    one: ir.Node, other: ir.Node, places: tuple[dict[ir.Value, Any], dict[ir.Value, Any]]
) -> bool:
    return (
        one.op_type == other.op_type
        and len(one.inputs) == len(other.inputs)
        and set(one.attributes) == set(other.attributes)
        and all(_same_attribute(a, other.attributes[name]) for name, a in one.attributes.items())
        and all(_same_input(*pair, places) for pair in zip(one.inputs, other.inputs, strict=True))
    )


def _same_input(
    one: ir.Value | None,
    other: ir.Value | None,
    places: tuple[dict[ir.Value, Any], dict[ir.Value, Any]],
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
