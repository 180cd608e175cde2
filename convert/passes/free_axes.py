"""Let height and width be free again where no node holds them."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from .nodes import constant_of

__all__ = ["FreeAxes", "NameBatch", "holds_no_size"]

_SIZELESS = {
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "ConvTranspose",
    "DepthToSpace", "Div", "Elu", "Erf", "Gelu", "GlobalAveragePool", "HardSigmoid", "HardSwish",
    "Identity", "LeakyRelu", "MaxPool", "Mul", "Relu", "Selu", "Sigmoid", "Softmax", "Softplus",
    "Sub", "Tanh", "Transpose",
}  # fmt: skip
"""Nodes that do to every size the same; Reshape, Resize and Slice may hold a fixed size, and so
may a constant with more than one long axis."""

_REDUCE = {"ReduceMax", "ReduceMean"}
_PER_CHANNEL = {"BatchNormalization", "Conv", "ConvTranspose"}


class FreeAxes(ir.passes.InPlacePass):  # type: ignore[misc]
    """Name the batch, height and width of NHWC inputs and outputs, and forget fixed sizes.

    Tracing at a fixed size gives one ConvTranspose a layer; tracing at a free size would give
    each about thirty nodes that compute its padding. The graph must hold no size: see
    `holds_no_size`.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        image = next(value for value in graph.inputs if len(value.shape) == 4)  # noqa: PLR2004
        sides = tuple(image.shape[1:3])
        for value in (*graph.inputs, *graph.outputs):
            if value.shape is None or len(value.shape) != 4:  # noqa: PLR2004
                _name_batch(value)
                continue
            own = "" if tuple(value.shape[1:3]) == sides else f"{value.name}_"
            value.shape = ir.Shape(["batch", f"{own}height", f"{own}width", value.shape[3]])
        for node in graph:
            for value in node.outputs:
                if not value.is_graph_output():
                    value.shape = None
        ShapeInferencePass()(model)
        return ir.passes.PassResult(model, modified=True)


class NameBatch(ir.passes.InPlacePass):  # type: ignore[misc]
    """Call the first axis of inputs and outputs "batch" where it is free."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        for value in (*model.graph.inputs, *model.graph.outputs):
            _name_batch(value)
        return ir.passes.PassResult(model, modified=True)


def holds_no_size(model: ir.Model) -> bool:
    """Whether every node of the graph is of a kind that does to every height and width the same."""
    return all(_is_sizeless(node) for node in model.graph)


def _name_batch(value: ir.Value) -> None:
    if value.shape is not None and len(value.shape) and not isinstance(value.shape[0], int):
        value.shape = ir.Shape(["batch", *value.shape[1:]])


def _is_sizeless(node: ir.Node) -> bool:
    if node.op_type in _REDUCE:
        return constant_of(node.inputs[-1]) is not None or "axes" in node.attributes
    if node.op_type == "Pad":
        return True  # by so many, whatever the size
    if node.op_type not in _SIZELESS or "output_shape" in node.attributes:
        return False
    if node.op_type in _PER_CHANNEL:
        return True  # what they hold is per channel
    constants = [array for value in node.inputs if (array := constant_of(value)) is not None]
    return all(sum(side > 1 for side in array.shape) <= 1 for array in constants)
