"""Keep the axes that a mean goes over, where a Reshape puts them back anyway."""

from __future__ import annotations

import onnx_ir as ir

from unetrt.tensors import TO_NCHW

from .nodes import (
    REDUCTIONS,
    axes_of,
    constant_of,
    integer_of,
    replace_node,
    sizes_of,
    transposed,
)

__all__ = ["KeepReducedAxes"]


class KeepReducedAxes(ir.passes.InPlacePass):  # type: ignore[misc]
    """Turn ReduceMean [N, H, W, C] -> [N, C], Reshape -> [N, C, 1, 1] into ReduceMean, Transpose.

    So a squeeze-and-excitation block is written. With its axes kept, SinkTranspose can bring it to
    NCHW like the convolutions around it.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,4,6,3] x) => (float[1,3,1,1] y) <int64[4] shape = {-1, 3, 1, 1}> {
    ...         mean = ReduceMean <axes = [1, 2], keepdims = 0> (x)
    ...         y = Reshape (mean, shape) }''')
    >>> KeepReducedAxes()(model).modified
    True
    >>> [node.op_type for node in model.graph]
    ['ReduceMean', 'Transpose']
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(model.graph):
            reduce = node.inputs[0].producer() if node.op_type == "Reshape" else None
            if reduce is not None and _drops_sides(reduce):
                modified |= _keep(reduce, node)
        return ir.passes.PassResult(model, modified=modified)


def _drops_sides(node: ir.Node) -> bool:
    out = node.outputs[0]
    if node.op_type not in REDUCTIONS or len(out.uses()) != 1 or out.is_graph_output():
        return False
    return sorted(axes_of(node) or ()) == [1, 2] and not integer_of(node, "keepdims", 1)


def _keep(reduce: ir.Node, reshape: ir.Node) -> bool:
    before, target = sizes_of(reduce.inputs[0]), constant_of(reshape.inputs[1])
    if before is None or target is None or not len(before) == target.size == 4:  # noqa: PLR2004
        return False
    if before[3] is None:
        return False
    channels, after = before[3], tuple(target[1:].tolist())
    if after == (channels, 1, 1):
        new = transposed(reduce.outputs[0], TO_NCHW)
    elif after == (1, 1, channels):
        new = ir.node("Identity", [reduce.outputs[0]])
    else:
        return False
    reduce.attributes["keepdims"] = ir.AttrInt64("keepdims", 1)
    reduce.outputs[0].shape = ir.Shape([reduce.inputs[0].shape[0], 1, 1, channels])
    replace_node(reshape, new)
    return True
