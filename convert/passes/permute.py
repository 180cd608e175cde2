"""What a node must change to do the same to a tensor whose axes are permuted."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .nodes import constant_of, set_constant

__all__ = ["data_inputs", "permute"]

_UNARY = {
    "Abs", "Cast", "Clip", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Neg",
    "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Tanh",
}  # fmt: skip
_BROADCAST = {"Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"}
_REDUCE = {"ReduceMax", "ReduceMean", "ReduceSum"}
_ALONG_AXIS = {"LogSoftmax", "Softmax"}


def data_inputs(node: ir.Node) -> list[int] | None:
    """Return which inputs are tensors that share the output's axes; None where it is not known."""
    if node.op_type in _BROADCAST or node.op_type == "Concat":
        return list(range(len(node.inputs)))
    if node.op_type in _UNARY | _REDUCE | _ALONG_AXIS or node.op_type == "Pad":
        return [0]
    return None


def permute(node: ir.Node, perm: tuple[int, ...]) -> bool:
    """Change attributes and constants for a node that will read what a Transpose by `perm` reads.

    Returns False, with nothing changed, where it cannot be done, or gains nothing.
    """
    if node.op_type in _BROADCAST:
        return _permute_constants(node, perm)
    if node.op_type in _ALONG_AXIS:
        return _permute_softmax(node, perm)
    if node.op_type in _REDUCE:
        return _permute_axes(node, perm)
    if node.op_type == "Pad":
        return _permute_pads(node, perm)
    if node.op_type == "Concat":
        _set_axis(node, perm)
    return True


def _permute_constants(node: ir.Node, perm: tuple[int, ...]) -> bool:
    constants = {
        k: array for k, v in enumerate(node.inputs) if (array := constant_of(v)) is not None
    }
    if any(array.ndim > len(perm) for array in constants.values()):
        return False
    for index, array in constants.items():
        if array.ndim:
            moved = _before(perm, array)
            set_constant(node, index, moved, f"{node.name}/{node.op_type.lower()}_constant")
    return True


def _permute_softmax(node: ir.Node, perm: tuple[int, ...]) -> bool:
    if not all(user.op_type == "Transpose" for user, _ in node.outputs[0].uses()):
        return False  # nothing would cancel, and the last axis is the fastest to sum over
    _set_axis(node, perm)
    return True


def _permute_axes(node: ir.Node, perm: tuple[int, ...]) -> bool:
    kept = node.attributes.get("keepdims")
    if kept is not None and kept.as_int() == 0:
        return False
    if "axes" in node.attributes:
        axes = node.attributes["axes"].as_ints()
        node.attributes["axes"] = ir.AttrInt64s("axes", sorted(perm[axis] for axis in axes))
        return True
    given = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if given is None:
        return False
    moved = np.array(sorted(perm[axis] for axis in given.tolist()), np.int64)
    set_constant(node, 1, moved, f"{node.name}/axes")
    return True


def _permute_pads(node: ir.Node, perm: tuple[int, ...]) -> bool:
    pads = constant_of(node.inputs[1])
    if pads is None or pads.size != 2 * len(perm):
        return False
    ends = pads.reshape(2, len(perm))
    moved = np.empty_like(ends)
    moved[:, list(perm)] = ends
    set_constant(node, 1, moved.ravel(), f"{node.name}/pads")
    return True


def _set_axis(node: ir.Node, perm: tuple[int, ...]) -> None:
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
    node.attributes["axis"] = ir.AttrInt64("axis", perm[axis])


def _before(perm: tuple[int, ...], constant: NDArray[Any]) -> NDArray[Any]:
    """Return the constant as it must be to broadcast against what the Transpose reads."""
    full = constant.reshape((1,) * (len(perm) - constant.ndim) + constant.shape)
    return np.ascontiguousarray(full.transpose(np.argsort(perm)))
