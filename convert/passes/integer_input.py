"""Take the camera's integers, and turn them into float32 inside the graph."""

from __future__ import annotations

import onnx_ir as ir

from unetrt.errors import BadInput

from .nodes import prepend_input

__all__ = ["IntegerInput"]


class IntegerInput(ir.passes.InPlacePass):  # type: ignore[misc]
    """Give each float32 image input the type `dtype`, and a Cast behind it.

    An 8-bit image is then copied to the GPU in a quarter of the bytes, and nobody converts it on
    the way. What normalises the pixels stands behind the Cast, in the graph, as it did before.
    """

    def __init__(self, dtype: ir.DataType) -> None:
        super().__init__()
        self._dtype = dtype

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        images = [v for v in model.graph.inputs if len(v.shape) == 4 and v.dtype != self._dtype]  # noqa: PLR2004
        for value in images:
            if value.dtype != ir.DataType.FLOAT:
                raise BadInput(
                    f"The input {value.name!r} takes other pixels",
                    got=value.dtype.numpy().name,
                    expected=f"float32, to be given as {self._dtype.numpy().name}",
                )
            cast = "Cast", [ir.AttrInt64("to", int(ir.DataType.FLOAT))]
            prepend_input(model.graph, value, cast, shape=value.shape, dtype=self._dtype)
        return ir.passes.PassResult(model, modified=bool(images))
