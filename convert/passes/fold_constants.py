"""Compute at export what depends on weights alone, such as their transposition."""

from __future__ import annotations

import onnx_ir as ir
from onnxscript.optimizer import fold_constants, remove_unused_nodes

__all__ = ["FoldConstants"]

_NO_LIMIT = 1 << 40
"""onnxscript leaves large tensors alone by default; a U-Net's weights are large, and all fold."""


class FoldConstants(ir.passes.InPlacePass):  # type: ignore[misc]
    """Fold constants of any size, by onnxscript, and drop what nothing uses any more.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,2,4,4] x) => (float[1,1,4,4] y) <float[2,1,1,1] kernel = {1, 2}> {
    ...         turned = Transpose <perm = [1, 0, 2, 3]> (kernel)
    ...         y = Conv (x, turned) }''')
    >>> FoldConstants()(model).modified
    True
    >>> [node.op_type for node in model.graph]
    ['Conv']
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        result = fold_constants(model, input_size_limit=_NO_LIMIT, output_size_limit=_NO_LIMIT)
        remove_unused_nodes(model)
        return ir.passes.PassResult(model, modified=bool(result.modified))
