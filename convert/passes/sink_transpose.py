"""Move transpositions down through elementwise nodes until they meet and cancel."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import IdentityEliminationPass
from onnxscript.optimizer import remove_unused_nodes
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules.common import no_op_transpose_rule, transpose_transpose_rule

from .nodes import constant_of, insert_after, perm_of
from .permute import data_inputs, permute

__all__ = ["SinkTranspose"]


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
