"""Compute a bfloat16 graph in float32, rounding where it would: for machines without bfloat16."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .nodes import new_node

__all__ = ["RoundBfloat16"]


class RoundBfloat16(ir.passes.InPlacePass):  # type: ignore[misc]
    """Make every bfloat16 value a float32 one that was rounded to bfloat16.

    Weights are rounded already; each node's bfloat16 output passes a Cast to bfloat16 and one
    back. That is what hardware does which multiplies bfloat16 and sums in float32; a builder that
    fuses layers rounds less often.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 22]>
    ...     g (float[1,4] x) => (float[1,4] y) <bfloat16[1,4] half, bfloat16[1,4] relu> {
    ...         half = Cast <to = 16> (x)
    ...         relu = Relu (half)
    ...         y = Cast <to = 1> (relu) }''')
    >>> RoundBfloat16()(model).modified
    True
    >>> [node.op_type for node in model.graph], model.graph.node(2).outputs[0].dtype.name
    (['Cast', 'Cast', 'Relu', 'Cast', 'Cast', 'Cast'], 'FLOAT')
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
        last = _cast_after(node, value, ir.DataType.BFLOAT16, f"{value.name}/rounded")
        rounded = last.outputs[0]
    widened = _cast_after(last, rounded, ir.DataType.FLOAT, f"{value.name}/widened").outputs[0]
    for user, index in uses:
        user.replace_input_with(index, widened)


def _cast_after(node: ir.Node, value: ir.Value, to: ir.DataType, name: str) -> ir.Node:
    cast = new_node("Cast", [value], {"to": int(to)}, name=name, dtype=to, shape=value.shape)
    node.graph.insert_after(node, cast)
    return cast
