"""Compute a bfloat16 graph in float32, rounding where it would: for machines without bfloat16."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

__all__ = ["RoundBfloat16"]


class RoundBfloat16(ir.passes.InPlacePass):  # type: ignore[misc]
    """Make every bfloat16 value a float32 one that was rounded to bfloat16.

    Weights are rounded already; each node's bfloat16 output passes a Cast to bfloat16 and one
    back. That is what hardware does which multiplies bfloat16 and sums in float32; a builder that
    fuses layers rounds less often.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        for value in list(graph.initializers.values()):
            if value.dtype == ir.DataType.BFLOAT16:
                array = value.const_value.numpy().astype(np.float32)
                value.const_value = ir.tensor(array, name=value.name)
                value.dtype = ir.DataType.FLOAT
        modified = False
        for node in list(graph):
            for value in node.outputs:
                if value.dtype == ir.DataType.BFLOAT16:
                    _round(node, value)
                    modified = True
        return ir.passes.PassResult(model, modified=modified)


def _round(node: ir.Node, value: ir.Value) -> None:
    uses = list(value.uses())
    last, rounded = node, value
    if node.op_type != "Cast":
        value.dtype = ir.DataType.FLOAT
        last, rounded = _cast(last, rounded, ir.DataType.BFLOAT16, f"{value.name}/rounded")
    _, widened = _cast(last, rounded, ir.DataType.FLOAT, f"{value.name}/widened")
    for user, index in uses:
        user.replace_input_with(index, widened)


def _cast(after: ir.Node, value: ir.Value, to: ir.DataType, name: str) -> tuple[ir.Node, ir.Value]:
    cast = ir.node("Cast", [value], {"to": int(to)}, name=name)
    cast.outputs[0].name = name
    cast.outputs[0].shape = value.shape
    cast.outputs[0].type = ir.TensorType(to)
    after.graph.insert_after(after, cast)
    return cast, cast.outputs[0]
