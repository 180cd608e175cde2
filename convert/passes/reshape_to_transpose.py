"""Write a Reshape that only moves an axis of length one as the Transpose it means."""

from __future__ import annotations

import onnx_ir as ir

from .nodes import constant_of, insert_after, sizes_of

__all__ = ["ReshapeToTranspose"]

_TO_NCHW = (0, 3, 1, 2)


class ReshapeToTranspose(ir.passes.InPlacePass):  # type: ignore[misc]
    """[N, H, W, 1] -> [N, 1, H, W].

    tf2onnx spells the transposition of a grey image as a Reshape to a fixed height and width;
    a Transpose says the same for every size.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(model.graph):
            ends = node.outputs[0].is_graph_output()
            if node.op_type == "Reshape" and not ends and _moves_single_channel(node):
                moved = ir.Node(
                    "", "Transpose", [node.inputs[0]], [ir.AttrInt64s("perm", _TO_NCHW)]
                )
                insert_after(node, moved, like=node.outputs[0])
                node.outputs[0].replace_all_uses_with(moved.outputs[0])
                model.graph.remove(node, safe=True)
                modified = True
        return ir.passes.PassResult(model, modified=modified)


def _moves_single_channel(node: ir.Node) -> bool:
    before, target = sizes_of(node.inputs[0]), constant_of(node.inputs[1])
    if before is None or len(before) != 4 or before[3] != 1 or target is None:  # noqa: PLR2004
        return False
    return tuple(target[1:].tolist()) == (1, before[1], before[2])
