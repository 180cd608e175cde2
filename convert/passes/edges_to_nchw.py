"""Take and give images as [batch, channels, height, width]."""

from __future__ import annotations

import onnx_ir as ir

from .nodes import append_output, prepend_input
from .sink_transpose import SinkTranspose

__all__ = ["EdgesToNchw"]

_TO_NCHW = (0, 3, 1, 2)
_TO_NHWC = (0, 2, 3, 1)


class EdgesToNchw(ir.passes.InPlacePass):  # type: ignore[misc]
    """Put a Transpose behind each image input and before each image output.

    They then meet those that a Keras graph has there, and vanish with them.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        inputs = [value for value in model.graph.inputs if _is_image(value)]
        outputs = [value for value in model.graph.outputs if _is_image(value)]
        for value in inputs:
            shape = ir.Shape([value.shape[axis] for axis in _TO_NCHW])
            prepend_input(model.graph, value, _transpose(_TO_NHWC), shape=shape, dtype=value.dtype)
        for value in outputs:
            shape = ir.Shape([value.shape[axis] for axis in _TO_NCHW])
            append_output(model.graph, value, _transpose(_TO_NCHW), shape=shape)
        shapes = [value.shape for value in model.graph.outputs]
        SinkTranspose()(model)
        for value, shape in zip(model.graph.outputs, shapes, strict=True):
            value.shape = shape  # with its axes' names
        return ir.passes.PassResult(model, modified=bool(inputs or outputs))


def _is_image(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) == 4  # noqa: PLR2004


def _transpose(perm: tuple[int, ...]) -> tuple[str, list[ir.Attr]]:
    return "Transpose", [ir.AttrInt64s("perm", perm)]
