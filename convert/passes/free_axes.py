"""Let height and width be free again where no node holds them."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from .nodes import constant_of

__all__ = ["FreeAxes"]

_SIZELESS = {
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "ConvTranspose",
    "Div", "Elu", "HardSigmoid", "Identity", "LeakyRelu", "MaxPool", "Mul", "Relu", "Selu",
    "Sigmoid", "Softmax", "Softplus", "Sub", "Tanh", "Transpose",
}  # fmt: skip
"""Nodes that do to every size the same; Reshape, Resize and Slice may hold a fixed size, and so
may a constant with more than one long axis."""


class FreeAxes(ir.passes.InPlacePass):  # type: ignore[misc]
    """Name the batch, height and width of NHWC inputs and outputs, and forget fixed sizes.

    Tracing at a fixed size gives one ConvTranspose a layer; tracing at a free size would give
    each about thirty nodes that compute its padding.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        edges = (*graph.inputs, *graph.outputs)
        if any(not _is_sizeless(node) for node in graph):
            for value in edges:
                batch, *sides = value.shape
                value.shape = ir.Shape([batch if isinstance(batch, int) else "batch", *sides])
            return ir.passes.PassResult(model, modified=False)
        for value in edges:
            value.shape = ir.Shape(["batch", "height", "width", value.shape[-1]])
        for node in graph:
            for value in node.outputs:
                if not value.is_graph_output():
                    value.shape = None
        ShapeInferencePass()(model)
        return ir.passes.PassResult(model, modified=True)


def _is_sizeless(node: ir.Node) -> bool:
    if node.op_type not in _SIZELESS or "output_shape" in node.attributes:
        return False
    if node.op_type in ("Conv", "ConvTranspose", "BatchNormalization"):
        return True  # what they hold is per channel
    constants = [array for value in node.inputs if (array := constant_of(value)) is not None]
    return all(sum(side > 1 for side in array.shape) <= 1 for array in constants)
