"""Write a Reshape that only moves an axis of length one as the Transpose it means."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import IdentityEliminationPass

from unetrt.tensors import TO_NCHW, TO_NHWC

from .nodes import constant_of, replace_node, sizes_of, transposed

__all__ = ["ReshapeToTranspose"]

_SAME = (0, 1, 2, 3)


class ReshapeToTranspose(ir.passes.InPlacePass):  # type: ignore[misc]
    """Turn [N, H, W, 1] -> [N, 1, H, W], [N, C, 1, 1] -> [N, 1, 1, C] and back into a Transpose.

    tf2onnx spells the transposition of a grey image as a Reshape to a fixed height and width;
    a Transpose says the same for every size. One that changes nothing goes.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[n,4,6,1] x) => (float[n,1,4,6] y) <int64[4] shape = {-1, 1, 4, 6}> {
    ...         y = Reshape (x, shape) }''')
    >>> ReshapeToTranspose()(model).modified
    True
    >>> [node.op_type for node in model.graph]
    ['Transpose']
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(model.graph):
            perm = _permutation(node) if node.op_type == "Reshape" else None
            if perm is not None:
                image = node.inputs[0]
                # An Identity first, since the output may be one of the graph.
                same = perm == _SAME
                replace_node(
                    node, ir.node("Identity", [image]) if same else transposed(image, perm)
                )
                modified = True
        if modified:
            IdentityEliminationPass()(model)
        return ir.passes.PassResult(model, modified=modified)


def _permutation(node: ir.Node) -> tuple[int, ...] | None:
    """Return how a Reshape moves axes of length one past the others; None if it does more."""
    before, target = sizes_of(node.inputs[0]), constant_of(node.inputs[1])
    if before is None or target is None or not len(before) == target.size == len(_SAME):
        return None
    after = tuple(target[1:].tolist())
    for perm in (_SAME, TO_NCHW, TO_NHWC):
        long = [axis for axis in perm[1:] if before[axis] != 1]
        # The elements stay in order where no long axis overtakes another.
        if after == tuple(before[axis] for axis in perm[1:]) and long == sorted(long):
            return perm
    return None
