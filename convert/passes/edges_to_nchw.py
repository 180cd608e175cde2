"""Take and give images as [batch, channels, height, width]."""

from __future__ import annotations

import onnx_ir as ir

from unetrt.tensors import TO_NCHW, TO_NHWC

from .nodes import append_output, is_image, prepend_input
from .sink_transpose import SinkTranspose

__all__ = ["EdgesToNchw"]


class EdgesToNchw(ir.passes.InPlacePass):  # type: ignore[misc]
    """Put a Transpose behind each image input and before each image output.

    They then meet those that a Keras graph has there, and vanish with them.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,4,6,2] x) => (float[1,4,6,1] y) <float[1,2,1,1] kernel = {1, 2}> {
    ...         nchw = Transpose <perm = [0, 3, 1, 2]> (x)
    ...         conv = Conv (nchw, kernel)
    ...         y = Transpose <perm = [0, 2, 3, 1]> (conv) }''')
    >>> EdgesToNchw()(model).modified
    True
    >>> [node.op_type for node in model.graph], model.graph.inputs[0].shape
    (['Conv'], Shape([1, 2, 4, 6]))
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        inputs = list(filter(is_image, graph.inputs))
        outputs = list(filter(is_image, graph.outputs))
        for value in inputs:
            back = {"perm": TO_NHWC}
            prepend_input(graph, value, "Transpose", back, shape=_in_nchw(value), dtype=value.dtype)
        for value in outputs:
            append_output(graph, value, "Transpose", {"perm": TO_NCHW}, shape=_in_nchw(value))
        shapes = [value.shape for value in graph.outputs]
        SinkTranspose()(model)
        for value, shape in zip(graph.outputs, shapes, strict=True):
            value.shape = shape  # with its axes' names
        return ir.passes.PassResult(model, modified=bool(inputs or outputs))


def _in_nchw(value: ir.Value) -> ir.Shape:
    return ir.Shape([value.shape[axis] for axis in TO_NCHW])
