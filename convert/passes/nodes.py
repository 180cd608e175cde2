"""What several passes ask of a graph's nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

__all__ = [
    "add_node",
    "append_output",
    "constant_of",
    "insert_after",
    "perm_of",
    "prepend_input",
    "replace_node",
    "set_constant",
    "sizes_of",
    "unused_name",
]


def constant_of(value: ir.Value | None) -> NDArray[Any] | None:
    """Return the array a value always has, or None."""
    if value is None or value.const_value is None:
        return None
    array: NDArray[Any] = value.const_value.numpy()
    return array


def sizes_of(value: ir.Value) -> tuple[int | None, ...] | None:
    """Return the value's shape with None for free axes, or None where the rank is unknown."""
    if value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else None for size in value.shape)


def perm_of(node: ir.Node) -> tuple[int, ...]:
    """Return the permutation of a Transpose; without one it reverses the axes."""
    if "perm" in node.attributes:
        return tuple(node.attributes["perm"].as_ints())
    return tuple(reversed(range(len(node.inputs[0].shape))))


def set_constant(node: ir.Node, index: int, array: NDArray[Any], name: str) -> None:
    """Give a node a constant of its own as input `index`; others may read the old one."""
    number, wanted = 1, name
    while name in node.graph.initializers:
        number += 1
        name = f"{wanted}_{number}"
    value = ir.Value(
        name=name, shape=ir.Shape(array.shape), type=ir.TensorType(ir.tensor(array).dtype)
    )
    value.const_value = ir.tensor(array, name=name)
    node.graph.register_initializer(value)
    node.replace_input_with(index, value)


def insert_after(node: ir.Node, new: ir.Node, *, like: ir.Value) -> None:
    """Insert `new` behind `node`, its output named and typed after `like`."""
    new.name = f"{node.name}/{new.op_type.lower()}"
    new.outputs[0].name = f"{like.name}/{new.op_type.lower()}"
    new.outputs[0].type = like.type
    node.graph.insert_after(node, new)


def replace_node(node: ir.Node, new: ir.Node) -> None:
    """Put `new` in the place of `node`; what it makes keeps the name, type and shape."""
    graph, old, made = node.graph, node.outputs[0], new.outputs[0]
    new.name = f"{node.name}/{new.op_type.lower()}"
    made.name, made.type, made.shape = old.name, old.type, old.shape
    graph.insert_after(node, new)
    if old.is_graph_output():
        graph.outputs[list(graph.outputs).index(old)] = made
    old.replace_all_uses_with(made)
    graph.remove(node, safe=True)


def unused_name(graph: ir.Graph, wanted: str) -> str:
    """Return `wanted`, or with a number behind it where a value bears that name."""
    taken = {value.name for node in graph for value in node.outputs}
    taken |= {value.name for value in graph.inputs} | set(graph.initializers)
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def prepend_input(
    graph: ir.Graph,
    value: ir.Value,
    operation: tuple[str, list[ir.Attr]],
    *,
    shape: ir.Shape,
    dtype: ir.DataType,
) -> None:
    """Let the graph input `value` be computed from a new one of its name, `shape` and `dtype`."""
    operator, attributes = operation
    new = ir.Value(name=value.name, shape=shape, type=ir.TensorType(dtype))
    node = ir.Node("", operator, [new], attributes, name=f"{value.name}/{operator.lower()}")
    made = node.outputs[0]
    made.name, made.type, made.shape = node.name, value.type, value.shape
    graph.inputs[list(graph.inputs).index(value)] = new
    value.replace_all_uses_with(made)
    graph.insert_before(graph[0], node)


def append_output(
    graph: ir.Graph,
    value: ir.Value,
    operation: tuple[str, list[ir.Attr]],
    *,
    shape: ir.Shape,
) -> None:
    """Let the graph give what `operation` makes of its output `value`: same name, same type."""
    operator, attributes = operation
    name = value.name
    node = ir.Node("", operator, [value], attributes, name=f"{name}/{operator.lower()}")
    made = node.outputs[0]
    made.name, made.type, made.shape = name, value.type, shape
    value.name = unused_name(graph, f"{name}/before_{operator.lower()}")
    graph.append(node)
    graph.outputs[list(graph.outputs).index(value)] = made


def add_node(
    value: ir.Value,
    operator: str,
    *,
    constants: Sequence[ir.TensorProtocol] = (),
    to: ir.DataType | None = None,
    dtype: ir.DataType | None = None,
    **integers: int,
) -> ir.Value:
    """Append a node that reads `value` and constants, and return what it makes.

    `to` is the type of a Cast, `dtype` that of any other; `integers` are its attributes.
    """
    graph = value.graph
    attributes = [ir.AttrInt64(name, number) for name, number in integers.items()]
    if to is not None:
        attributes.append(ir.AttrInt64("to", int(to)))
    node = ir.Node("", operator, [value], attributes)
    node.name = unused_name(graph, f"{value.name}/{operator.lower()}")
    node.outputs[0].name = node.name
    node.outputs[0].type = ir.TensorType(to or dtype)
    graph.append(node)
    node.resize_inputs(1 + len(constants))
    for index, constant in enumerate(constants, start=1):
        set_constant(node, index, constant.numpy(), f"{node.name}_constant")
    return node.outputs[0]
