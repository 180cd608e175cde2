"""Take the camera's integers, and turn them into float32 inside the graph."""

from __future__ import annotations

import onnx_ir as ir

from unetrt.errors import BadInput

from .nodes import is_image, prepend_input

__all__ = ["IntegerInput"]


class IntegerInput(ir.passes.InPlacePass):  # type: ignore[misc]
    """Give each float32 image input the type `dtype`, and put a Cast behind it.

    An 8-bit image is then copied to the GPU in a quarter of the bytes, and nobody converts it on
    the way. The layers that normalise the pixels stay behind the Cast, in the graph.

    Args:
        dtype: the integer type of the new inputs.

    Raises:
        BadInput: an image input is not float32; raised by the call.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,4,4,3] x) => (float[1,4,4,3] y) { y = Relu (x) }''')
    >>> IntegerInput(ir.DataType.UINT8)(model).modified
    True
    >>> [node.op_type for node in model.graph], model.graph.inputs[0].dtype.name
    (['Cast', 'Relu'], 'UINT8')
    """

    def __init__(self, dtype: ir.DataType) -> None:
        super().__init__()
        self._dtype = dtype

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        images = [v for v in model.graph.inputs if is_image(v) and v.dtype != self._dtype]
        for value in images:
            if value.dtype != ir.DataType.FLOAT:
                raise BadInput(
                    f"The input {value.name!r} takes other pixels",
                    got=value.dtype.numpy().name,
                    expected=f"float32, to be given as {self._dtype.numpy().name}",
                )
            to_float = {"to": int(ir.DataType.FLOAT)}
            prepend_input(
                model.graph, value, "Cast", to_float, shape=value.shape, dtype=self._dtype
            )
        return ir.passes.PassResult(model, modified=bool(images))
