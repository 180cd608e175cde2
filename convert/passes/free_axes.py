"""Let height and width be free again where no node holds them."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

__all__ = ["FreeAxes"]

_SIZELESS = {
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "ConvTranspose",
    "Div", "Elu", "HardSigmoid", "Identity", "LeakyRelu", "MaxPool", "Mul", "Relu", "Selu",
    "Sigmoid", "Softmax", "Softplus", "Sub", "Tanh", "Transpose",
}  # fmt: skip
"""Nodes that do to every size the same; Reshape, Resize and Slice may hold a fixed size."""


class FreeAxes(ir.passes.InPlacePass):  # type: ignore[misc]
    """Name the batch, height and width of NHWC inputs and outputs, and forget fixed sizes.

    Tracing at a fixed size gives one ConvTranspose a layer; tracing at a free size would give
    each about thirty nodes that compute its padding.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        if any(not _is_sizeless(node) for node in graph):
            return ir.passes.PassResult(model, modified=False)
        for value in (*graph.inputs, *graph.outputs):
            channels = value.shape[-1] if value.shape is not None else None
            value.shape = ir.Shape(["batch", "height", "width", channels])
        for node in graph:
            for value in node.outputs:
                if not value.is_graph_output():
                    value.shape = None
        ShapeInferencePass()(model)
        return ir.passes.PassResult(model, modified=True)


def _is_sizeless(node: ir.Node) -> bool:
    return node.op_type in _SIZELESS and "output_shape" not in node.attributes
