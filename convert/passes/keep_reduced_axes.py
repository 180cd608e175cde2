"""Keep the axes that a mean goes over, where a Reshape puts them back anyway."""

from __future__ import annotations

import onnx_ir as ir

from .nodes import constant_of, replace_node, sizes_of

__all__ = ["KeepReducedAxes"]

_REDUCE = {"ReduceMax", "ReduceMean", "ReduceSum"}
_TO_NCHW = (0, 3, 1, 2)


class KeepReducedAxes(ir.passes.InPlacePass):  # type: ignore[misc]
    """ReduceMean [N, H, W, C] -> [N, C], Reshape -> [N, C, 1, 1] become ReduceMean, Transpose.

    So a squeeze-and-excitation block is written. With its axes kept, SinkTranspose can bring it to
    NCHW like the convolutions around it.
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
    if node.op_type not in _REDUCE or len(out.uses()) != 1 or out.is_graph_output():
        return False
    attribute = node.attributes.get("axes")
    given = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = attribute.as_ints() if attribute is not None else (() if given is None else given)
    kept = node.attributes.get("keepdims")
    return sorted(axes) == [1, 2] and kept is not None and kept.as_int() == 0


def _keep(reduce: ir.Node, reshape: ir.Node) -> bool:
    before, target = sizes_of(reduce.inputs[0]), constant_of(reshape.inputs[1])
    if before is None or target is None or not len(before) == target.size == 4:  # noqa: PLR2004
        return False
    if before[3] is None:
        return False
    channels, after = before[3], tuple(target[1:].tolist())
    if after == (channels, 1, 1):
        new = ir.Node("", "Transpose", [reduce.outputs[0]], [ir.AttrInt64s("perm", _TO_NCHW)])
    elif after == (1, 1, channels):
        new = ir.Node("", "Identity", [reduce.outputs[0]])
    else:
        return False
    reduce.attributes["keepdims"] = ir.AttrInt64("keepdims", 1)
    reduce.outputs[0].shape = ir.Shape([reduce.inputs[0].shape[0], 1, 1, channels])
    replace_node(reshape, new)
    return True
