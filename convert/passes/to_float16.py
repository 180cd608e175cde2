"""Give weights and activations the type float16, but for the nodes that need float32."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatch

import numpy as np
import onnx_ir as ir

from unetrt.errors import UnsupportedModel

__all__ = ["ToFloat16"]

_LAYOUT = {"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Nodes that compute nothing: they take the type of what they move, so that no Cast is needed."""

_COMPUTES = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_PRECISE = {"Softmax", "LogSoftmax"}
_DECLARES = {"Cast", "Constant", "ConstantOfShape", "RandomNormal", "RandomUniform"}

_STAYS_FLOAT32 = {"Resize": (1, 2)}
"""Inputs that ONNX wants in float32 whatever the node computes in."""


class ToFloat16(ir.passes.InPlacePass):  # type: ignore[misc]
    """Type the graph for half precision; its inputs and outputs stay as they are.

    Float32 stay, besides the nodes named: everything before the first convolution or matrix
    product, since the pixels of a 16-bit camera exceed float16, and the softmax, whose exp does.
    A Cast stands only where a float16 node meets a float32 one. Values below float16's smallest
    are rounded to zero, as hardware does; one above its largest, 65504, is an error.
    """

    def __init__(self, keep: Collection[str] = ()) -> None:
        super().__init__()
        self._keep = tuple(keep)
        self._cast: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        outputs = [value for value in model.graph.outputs if value.dtype == ir.DataType.FLOAT]
        computed: set[ir.Value] = set()
        for node in list(model.graph):
            if node.op_type in _COMPUTES or computed.intersection(node.inputs):
                computed.update(node.outputs)
            if node.op_type in _DECLARES:
                continue  # the type of their output is an attribute of their own
            kept = node.op_type in _PRECISE or not computed.issuperset(node.outputs)
            kept = kept or any(fnmatch(node.name or "", pattern) for pattern in self._keep)
            wanted = ir.DataType.FLOAT if kept else ir.DataType.FLOAT16
            if node.op_type in _LAYOUT and node.inputs[0].dtype == ir.DataType.FLOAT:
                wanted = ir.DataType.FLOAT
            self._type_inputs(node, wanted)
            for value in node.outputs:
                if value.dtype == ir.DataType.FLOAT:
                    value.dtype = wanted
        for value in outputs:
            _cast_output(model, value)
        return ir.passes.PassResult(model, modified=bool(computed))

    def _type_inputs(self, node: ir.Node, wanted: ir.DataType) -> None:
        for index, value in enumerate(node.inputs):
            floating = value is not None and value.dtype in (
                ir.DataType.FLOAT,
                ir.DataType.FLOAT16,
            )
            if not floating or index in _STAYS_FLOAT32.get(node.op_type, ()):
                continue
            if value.dtype != wanted:
                node.replace_input_with(index, self._as(value, wanted, node))

    def _as(self, value: ir.Value, wanted: ir.DataType, user: ir.Node) -> ir.Value:
        if (value, wanted) not in self._cast:
            constant = value.is_initializer()
            new = _half(value) if constant else _cast_before(user, value, wanted)
            self._cast[value, wanted] = new
        return self._cast[value, wanted]


def _half(value: ir.Value) -> ir.Value:
    full = value.const_value.numpy()
    with np.errstate(over="ignore"):
        half = full.astype(np.float16)
    if not np.isfinite(half).all():
        raise UnsupportedModel(
            f"{value.name} does not fit float16",
            got=f"values up to {np.abs(full).max():g}",
            expected="at most 65504",
            hint="keep its layer in float32 with --keep",
        )
    graph = value.graph
    new = ir.Value(
        name=f"{value.name}/fp16", shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT16)
    )
    new.const_value = ir.tensor(half, name=new.name)
    graph.register_initializer(new)
    return new


def _cast_before(user: ir.Node, value: ir.Value, wanted: ir.DataType) -> ir.Value:
    cast = ir.Node(
        "",
        "Cast",
        [value],
        [ir.AttrInt64("to", int(wanted))],
        name=f"{value.name}/to_{'fp16' if wanted == ir.DataType.FLOAT16 else 'fp32'}",
    )
    cast.outputs[0].name = cast.name
    cast.outputs[0].shape = value.shape
    cast.outputs[0].type = ir.TensorType(wanted)
    user.graph.insert_before(user, cast)
    return cast.outputs[0]


def _cast_output(model: ir.Model, value: ir.Value) -> None:
    if value.dtype == ir.DataType.FLOAT:
        return
    name = value.name
    value.name = f"{name}/fp16"
    cast = ir.Node("", "Cast", [value], [ir.AttrInt64("to", int(ir.DataType.FLOAT))])
    cast.name = f"{name}/to_fp32"
    cast.outputs[0].name = name
    cast.outputs[0].shape = value.shape
    cast.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    model.graph.append(cast)
    model.graph.outputs[list(model.graph.outputs).index(value)] = cast.outputs[0]
