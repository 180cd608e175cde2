"""What several passes ask of a graph's nodes."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["constant_of", "insert_after", "perm_of", "set_constant", "sizes_of"]


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
