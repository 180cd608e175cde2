"""Read and edit the nodes of a graph, as several passes do."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from unetrt.tensors import IMAGE_RANK

__all__ = [
    "REDUCTIONS",
    "append_output",
    "axes_of",
    "constant",
    "constant_of",
    "integer_of",
    "is_image",
    "new_node",
    "perm_of",
    "prepend_input",
    "replace_node",
    "replace_output",
    "set_constant",
    "sizes_of",
    "transposed",
    "unused",
    "unused_name",
]

REDUCTIONS = frozenset({"ReduceMax", "ReduceMean", "ReduceSum"})
"""Reductions that networks have between their convolutions."""


def is_image(value: ir.Value) -> bool:
    """Return whether a value is a batch of images or feature maps, in either layout."""
    return value.shape is not None and len(value.shape) == IMAGE_RANK


def constant_of(value: ir.Value | None) -> NDArray[Any] | None:
    """Return the array that a value always has, or None."""
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


def integer_of(node: ir.Node, name: str, default: int) -> int:
    """Return an attribute that is one integer."""
    return int(node.attributes[name].as_int()) if name in node.attributes else default


def axes_of(node: ir.Node) -> list[int] | None:
    """Return the axes of a reduction, as given; None where it names none, or computes them."""
    if "axes" in node.attributes:
        return list(node.attributes["axes"].as_ints())
    axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if axes is None else [int(axis) for axis in axes]


def transposed(value: ir.Value, perm: Sequence[int]) -> ir.Node:
    """Return a Transpose of `value` that is in no graph yet."""
    return ir.node("Transpose", [value], {"perm": list(perm)})


def new_node(
    operator: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    name: str,
    dtype: ir.DataType,
    shape: ir.Shape | None = None,
) -> ir.Node:
    """Return a node that is in no graph yet; its one output bears its name."""
    node = ir.node(operator, inputs, attributes, name=name)
    output = node.outputs[0]
    output.name, output.type, output.shape = name, ir.TensorType(dtype), shape
    return node


def constant(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """Return the initialiser of that name, which is made of `array` where there is none yet."""
    if name not in graph.initializers:
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype))
        value.const_value = tensor
        graph.register_initializer(value)
    return graph.initializers[name]


def set_constant(node: ir.Node, index: int, array: NDArray[Any], name: str) -> None:
    """Give a node a constant of its own as input `index`; others may read the old one."""
    own = unused(name, node.graph.initializers)
    node.replace_input_with(index, constant(node.graph, own, array))


def replace_node(node: ir.Node, new: ir.Node) -> None:
    """Put `new` in the place of `node`; its output keeps the name, type and shape."""
    graph, old, output = node.graph, node.outputs[0], new.outputs[0]
    new.name = f"{node.name}/{new.op_type.lower()}"
    output.name, output.type, output.shape = old.name, old.type, old.shape
    graph.insert_after(node, new)
    if old.is_graph_output():
        replace_output(graph, old, output)
    old.replace_all_uses_with(output)
    graph.remove(node, safe=True)


def replace_output(graph: ir.Graph, old: ir.Value, new: ir.Value) -> None:
    """Let the graph put out `new` instead of `old`, in the same place."""
    graph.outputs[list(graph.outputs).index(old)] = new


def unused(wanted: str, taken: Container[str]) -> str:
    """Return `wanted`, or with the first number from 2 behind it that makes it a new name."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def unused_name(graph: ir.Graph, wanted: str) -> str:
    """Return `wanted`, or with a number behind it where a value of the graph bears that name."""
    taken = {value.name for node in graph for value in node.outputs}
    return unused(wanted, taken | {value.name for value in graph.inputs} | set(graph.initializers))


def prepend_input(
    graph: ir.Graph,
    value: ir.Value,
    operator: str,
    attributes: Mapping[str, Any],
    *,
    shape: ir.Shape,
    dtype: ir.DataType,
) -> None:
    """Compute the graph input `value` from a new one of its name, `shape` and `dtype`."""
    new = ir.Value(name=value.name, shape=shape, type=ir.TensorType(dtype))
    name = f"{value.name}/{operator.lower()}"
    node = new_node(operator, [new], attributes, name=name, dtype=value.dtype, shape=value.shape)
    graph.inputs[list(graph.inputs).index(value)] = new
    value.replace_all_uses_with(node.outputs[0])
    graph.insert_before(graph[0], node)


def append_output(
    graph: ir.Graph,
    value: ir.Value,
    operator: str,
    attributes: Mapping[str, Any],
    *,
    shape: ir.Shape,
) -> None:
    """Apply an operator to the graph output `value`; the new output has its name and type."""
    name = value.name
    value.name = unused_name(graph, f"{name}/before_{operator.lower()}")
    node = new_node(
        operator,
        [value],
        attributes,
        name=f"{name}/{operator.lower()}",
        dtype=value.dtype,
        shape=shape,
    )
    node.outputs[0].name = name
    graph.append(node)
    replace_output(graph, value, node.outputs[0])
