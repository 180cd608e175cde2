"""Move transpositions down through elementwise nodes until they meet and cancel."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import IdentityEliminationPass
from onnxscript.optimizer import remove_unused_nodes
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules.common import no_op_transpose_rule, transpose_transpose_rule

from .nodes import constant_of, insert_after, perm_of, set_constant

__all__ = ["SinkTranspose"]

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


class SinkTranspose(ir.passes.InPlacePass):  # type: ignore[misc]
    """Transpose -> elementwise becomes elementwise -> Transpose; inverse neighbours vanish.

    While it traces, tf2onnx cannot see that a batch normalisation's factors are constants, so it
    leaves them between an NHWC pair of Transposes that cost two passes over memory each.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in model.graph:  # in topological order, and what is inserted comes later in it
            modified |= _sink_through(node)
        modified |= any(map(_follows_transpose, model.graph))
        if modified:
            rewrite(model, [transpose_transpose_rule, no_op_transpose_rule])
            IdentityEliminationPass()(model)  # what a rewrite leaves where a graph ends
            remove_unused_nodes(model)
        return ir.passes.PassResult(model, modified=modified)


def _follows_transpose(node: ir.Node) -> bool:
    producer = node.inputs[0].producer() if node.op_type == "Transpose" else None
    return producer is not None and producer.op_type == "Transpose"


def _sink_through(node: ir.Node) -> bool:
    indices = data_inputs(node)
    if indices is None or node.outputs[0].is_graph_output():
        return False
    transposes = {}
    for index in indices:
        value = node.inputs[index]
        producer = value.producer() if value is not None else None
        if producer is not None and producer.op_type == "Transpose":
            transposes[index] = producer
        elif node.op_type == "Concat" or constant_of(value) is None:
            return False
    perms = {perm_of(transpose) for transpose in transposes.values()}
    if len(perms) != 1:
        return False
    perm = perms.pop()
    if not permute(node, perm):
        return False
    for index, transpose in transposes.items():
        node.replace_input_with(index, transpose.inputs[0])
    out = node.outputs[0]
    out.shape = None
    uses = list(out.uses())
    sunk = ir.Node("", "Transpose", [out], [ir.AttrInt64s("perm", perm)])
    insert_after(node, sunk, like=out)
    for user, position in uses:
        user.replace_input_with(position, sunk.outputs[0])
    return True
