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

_UNARY = {"Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "Clip", "HardSigmoid"}
_BINARY = {"Add", "Sub", "Mul", "Div"}


class SinkTranspose(ir.passes.InPlacePass):  # type: ignore[misc]
    """Transpose -> elementwise becomes elementwise -> Transpose; inverse neighbours vanish.

    While it traces, tf2onnx cannot see that a batch normalisation's factors are constants, so it
    leaves them between an NHWC pair of Transposes that cost two passes over memory each.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in model.graph:  # in topological order, and what is inserted comes later in it
            modified |= _sink_through(node)
        if modified:
            rewrite(model, [transpose_transpose_rule, no_op_transpose_rule])
            IdentityEliminationPass()(model)  # what a rewrite leaves where a graph ends
            remove_unused_nodes(model)
        return ir.passes.PassResult(model, modified=modified)


def _sink_through(node: ir.Node) -> bool:
    index = _transposed_input(node)
    if index is None or node.outputs[0].is_graph_output():
        return False
    transpose = node.inputs[index].producer()
    perm = perm_of(transpose)
    if node.op_type in _BINARY:
        other = constant_of(node.inputs[1 - index])
        if other is None or other.ndim > len(perm):
            return False
        if other.ndim:
            moved = _before(perm, other)
            set_constant(node, 1 - index, moved, f"{node.name}/{node.op_type.lower()}_constant")
    node.replace_input_with(index, transpose.inputs[0])
    out = node.outputs[0]
    out.shape = None
    uses = list(out.uses())
    sunk = ir.Node("", "Transpose", [out], [ir.AttrInt64s("perm", perm)])
    insert_after(node, sunk, like=out)
    for user, position in uses:
        user.replace_input_with(position, sunk.outputs[0])
    return True


def _transposed_input(node: ir.Node) -> int | None:
    if node.op_type not in _UNARY | _BINARY:
        return None
    for index, value in enumerate(node.inputs[:2] if node.op_type in _BINARY else node.inputs[:1]):
        producer = value.producer() if value is not None else None
        if producer is not None and producer.op_type == "Transpose":
            return index
    return None


def _before(perm: tuple[int, ...], constant: NDArray[Any]) -> NDArray[Any]:
    """Return the constant as it must be to broadcast against what the Transpose reads."""
    full = constant.reshape((1,) * (len(perm) - constant.ndim) + constant.shape)
    return np.ascontiguousarray(full.transpose(np.argsort(perm)))
