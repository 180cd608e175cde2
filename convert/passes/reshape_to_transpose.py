"""Write a Reshape that only moves an axis of length one as the Transpose it means."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import IdentityEliminationPass

from .nodes import constant_of, replace_node, sizes_of

__all__ = ["ReshapeToTranspose"]

_SAME = (0, 1, 2, 3)
_TO_NCHW = (0, 3, 1, 2)
_TO_NHWC = (0, 2, 3, 1)


class ReshapeToTranspose(ir.passes.InPlacePass):  # type: ignore[misc]
    """[N, H, W, 1] -> [N, 1, H, W], [N, C, 1, 1] -> [N, 1, 1, C], and back.

    tf2onnx spells the transposition of a grey image as a Reshape to a fixed height and width;
    a Transpose says the same for every size. One that changes nothing goes.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(model.graph):
            perm = _permutation(node) if node.op_type == "Reshape" else None
            if perm == _SAME:
                replace_node(node, ir.Node("", "Identity", [node.inputs[0]]))
                modified = True
            elif perm is not None:
                # Changed in place: what it makes may be an output of the graph.
                moved = ir.Node("", "Transpose", [node.inputs[0]], [ir.AttrInt64s("perm", perm)])
                replace_node(node, moved)
                modified = True
        if modified:
            IdentityEliminationPass()(model)
        return ir.passes.PassResult(model, modified=modified)


def _permutation(node: ir.Node) -> tuple[int, ...] | None:
    """Return how the Reshape moves axes of length one past the others, if that is what it does."""
    before, target = sizes_of(node.inputs[0]), constant_of(node.inputs[1])
    if before is None or target is None or len(before) != 4 or target.size != 4:  # noqa: PLR2004
        return None
    after = tuple(target[1:].tolist())
    for perm in (_SAME, _TO_NCHW, _TO_NHWC):
        long = [axis for axis in perm[1:] if before[axis] != 1]
        # The elements stay in order where no long axis overtakes another.
        if after == tuple(before[axis] for axis in perm[1:]) and long == sorted(long):
            return perm
    return None
