"""Free height and width again where no node holds them."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from .nodes import REDUCTIONS, axes_of, constant_of, is_image

__all__ = ["FreeAxes", "NameBatch", "holds_no_size"]

_SIZELESS = {
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "ConvTranspose",
    "DepthToSpace", "Div", "Elu", "Erf", "Gelu", "GlobalAveragePool", "HardSigmoid", "HardSwish",
    "Identity", "LeakyRelu", "MaxPool", "Mul", "Relu", "Selu", "Sigmoid", "Softmax", "Softplus",
    "Sub", "Tanh", "Transpose",
}  # fmt: skip
"""Operators that treat every size alike; Reshape, Resize and Slice may hold a fixed size, and so
may a constant with more than one long axis."""

_PER_CHANNEL = {"BatchNormalization", "Conv", "ConvTranspose"}


class FreeAxes(ir.passes.InPlacePass):  # type: ignore[misc]
    """Name the batch, height and width of NHWC inputs and outputs, and forget fixed sizes.

    Tracing at a fixed size gives one ConvTranspose a layer; tracing at a free size would give
    each about thirty nodes that compute its padding. The graph must hold no size: see
    `holds_no_size`.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[n,8,8,3] x) => (float[n,8,8,3] y) { y = Relu (x) }''')
    >>> holds_no_size(model), FreeAxes()(model).modified
    (True, True)
    >>> [str(size) for size in model.graph.inputs[0].shape]
    ['batch', 'height', 'width', '3']
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        sides = tuple(next(filter(is_image, graph.inputs)).shape[1:3])
        for value in (*graph.inputs, *graph.outputs):
            if not is_image(value):
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
    """Call the first axis of inputs and outputs "batch" where it is free.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[n,8] x) => (float[n,8] y) { y = Relu (x) }''')
    >>> NameBatch()(model).modified, [str(size) for size in model.graph.outputs[0].shape]
    (True, ['batch', '8'])
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        named = [_name_batch(value) for value in (*model.graph.inputs, *model.graph.outputs)]
        return ir.passes.PassResult(model, modified=any(named))


def holds_no_size(model: ir.Model) -> bool:
    """Return whether every node of the graph treats every height and width alike.

    >>> import onnx_ir as ir
    >>> holds_no_size(ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,4,4,1] x) => (float[1,16] y) <int64[2] shape = {1, 16}> {
    ...         y = Reshape (x, shape) }'''))
    False
    """
    return all(map(_is_sizeless, model.graph))


def _name_batch(value: ir.Value) -> bool:
    if value.shape is None or not len(value.shape) or isinstance(value.shape[0], int):
        return False
    value.shape = ir.Shape(["batch", *value.shape[1:]])
    return True


def _is_sizeless(node: ir.Node) -> bool:
    if node.op_type in REDUCTIONS - {"ReduceSum"}:
        return axes_of(node) is not None
    if node.op_type == "Pad":
        return True  # by so many, whatever the size
    if node.op_type not in _SIZELESS or "output_shape" in node.attributes:
        return False
    if node.op_type in _PER_CHANNEL:
        return True  # their constants are per channel
    constants = [array for value in node.inputs if (array := constant_of(value)) is not None]
    return all(sum(side > 1 for side in array.shape) <= 1 for array in constants)
