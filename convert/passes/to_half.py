"""Give weights and activations float16 or bfloat16, except at the nodes that need float32."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import numpy as np
import onnx_ir as ir
from onnx import defs

from unetrt.errors import UnsupportedModel
from unetrt.precision import Precision

from .nodes import constant, new_node, replace_output

__all__ = ["COMPUTES", "ToHalf"]

COMPUTES = {"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"}
"""Operators that half precision makes faster, and so those that it begins at."""

_LAYOUT = {
    "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose",
    "Unsqueeze",
}  # fmt: skip
"""Operators that compute nothing: they take their input's type, so that no Cast is needed."""

_PRECISE = {
    "CumSum", "Exp", "InstanceNormalization", "LogSoftmax", "Pow", "ReduceL2", "ReduceLogSumExp",
    "ReduceMean", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Softmax",
}  # fmt: skip
"""Exponentials, powers and sums over many values, such as a variance, leave float16's range."""

_SATURATES = {"Clip", "Pad", "Where"}
"""Operators whose constants are bounds and fillers: beyond the type's largest, they become it."""

_STAYS_FLOAT32 = {"Resize": (1, 2)}
"""Inputs that are sizes, not values."""

_NO_BFLOAT16_KERNEL = {"ConvTranspose", "HardSwish"}
"""TensorRT-RTX 1.7.1 and TensorRT 11.0 build no bfloat16 ConvTranspose (TensorRT issue 4829), and
the parser of the former takes no bfloat16 HardSwish."""

_HALF = frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
_FLOATING = _HALF | {ir.DataType.FLOAT}


class ToHalf(ir.passes.InPlacePass):  # type: ignore[misc]
    """Retype the graph to float16 or bfloat16; its inputs and outputs keep their types.

    Half precision begins at a convolution or matrix product and continues through every node that
    reads a half value. These stay in float32: the nodes named; all before the first convolution,
    since the pixels of a 16-bit camera exceed float16; the softmax and others that leave float16's
    range; nodes with a graph inside; and nodes that the operator set or the builders do not have
    in the type, such as bfloat16's ConvTranspose. A node that reads only float32 nodes stays in
    float32 too, up to the next convolution: the epsilon under a variance's root would be zero in
    float16.

    A Cast stands only where a half node meets a float32 one. Weights below the type's smallest are
    rounded to zero, as hardware does.

    Args:
        half: FP16 or BF16.
        keep: names of nodes that stay in float32.

    Attributes:
        users: after the call, the names of the half nodes that read or make each value, by the
            value's name in the float32 graph.
        fillers: magnitudes of constants beyond the type's largest that became the largest, as
            bounds and fillers may.

    Raises:
        UnsupportedModel: weights exceed the type's largest; names their layers; raised by the call.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,2,4,4] x) => (float[1,2,4,4] y)
    ...     <float[2,2,1,1] kernel = {1, 0, 0, 1}, float[1,2,4,4] logits> {
    ...         logits = Conv (x, kernel)
    ...         y = Softmax <axis = 1> (logits) }''')
    >>> ToHalf(Precision.FP16)(model).modified
    True
    >>> [node.op_type for node in model.graph]
    ['Cast', 'Conv', 'Cast', 'Softmax']
    """

    def __init__(self, half: Precision = Precision.FP16, keep: Collection[str] = ()) -> None:
        super().__init__()
        self._half = ir.DataType[half.onnx]
        self._keep = frozenset(keep)
        self._stays = _PRECISE | (_NO_BFLOAT16_KERNEL if half == Precision.BF16 else set())
        self._cast: dict[tuple[ir.Value, ir.DataType, bool], ir.Value] = {}
        self._too_large: dict[str, tuple[str, float]] = {}
        self.users: dict[str, list[str]] = defaultdict(list)
        self.fillers: set[float] = set()

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        outputs = [value for value in model.graph.outputs if value.dtype == ir.DataType.FLOAT]
        opset = model.opset_imports.get("", 1)
        for node in list(model.graph):
            schema = _schema(node, opset)
            half = schema is not None and self._is_half(node, schema)
            self._type_inputs(node, schema if half else None)
            if half:
                for value, allowed in zip(node.outputs, _outputs(schema, node), strict=True):
                    if value.dtype == ir.DataType.FLOAT and self._half in allowed:
                        value.dtype = self._half
                        self.users[value.name].append(node.name)
        if self._too_large:
            raise self._refusal()
        for value in outputs:
            _cast_output(model, value)
        return ir.passes.PassResult(model, modified=bool(self.users))

    def _is_half(self, node: ir.Node, schema: defs.OpSchema) -> bool:
        if node.name in self._keep or node.op_type in self._stays:
            return False
        typed = [v for v in node.outputs if v.dtype == ir.DataType.FLOAT]
        if typed and self._half not in _outputs(schema, node)[node.outputs.index(typed[0])]:
            return False
        if node.op_type in COMPUTES:
            return True
        moved = node.inputs[:1] if node.op_type in _LAYOUT else node.inputs
        return any(value is not None and value.dtype == self._half for value in moved)

    def _type_inputs(self, node: ir.Node, schema: defs.OpSchema | None) -> None:
        """Cast the inputs of a node; `schema` is None for a node that stays in float32."""
        for reader in ir.traversal.RecursiveGraphIterator([node]):
            for index, value in enumerate(reader.inputs):
                if value is None or value.graph is not node.graph or value.dtype not in _FLOATING:
                    continue
                wanted = ir.DataType.FLOAT
                if schema is not None and index not in _STAYS_FLOAT32.get(node.op_type, ()):
                    wanted = self._half if self._half in _input(schema, index) else wanted
                elif node.op_type == "Cast":
                    continue  # takes any type
                if value.dtype != wanted:
                    reader.replace_input_with(index, self._as(value, wanted, node))
                if wanted == self._half and not value.is_initializer():
                    self.users[value.name].append(node.name)

    def _as(self, value: ir.Value, wanted: ir.DataType, user: ir.Node) -> ir.Value:
        is_constant = value.is_initializer() and not value.is_graph_input()
        key = value, wanted, is_constant and user.op_type in _SATURATES
        if key not in self._cast:
            make = self._rounded if is_constant else _cast_before
            self._cast[key] = make(value, wanted, user)
        return self._cast[key]

    def _rounded(self, value: ir.Value, half: ir.DataType, user: ir.Node) -> ir.Value:
        full = value.const_value.numpy()
        name = f"{value.name}/{_name(half)}"
        if user.op_type in _SATURATES:
            name += "_bound"
            self.fillers.update(np.abs(full[np.abs(full) > float(half.max)]).tolist())
            full = np.clip(full, -float(half.max), float(half.max))
        with np.errstate(over="ignore"):
            rounded = full.astype(half.numpy())
        if np.isfinite(full).all() and not np.isfinite(rounded.astype(np.float32)).all():
            self._too_large[user.name] = (value.name, float(np.abs(full).max()))
        return constant(value.graph, name, rounded)

    def _refusal(self) -> UnsupportedModel:
        found = ", ".join(f"{name} up to {most:g}" for name, most in self._too_large.values())
        return UnsupportedModel(
            f"Weights do not fit {_name(self._half)}",
            got=found,
            expected=f"at most {float(self._half.max):g}",
            hint=f"keep their layers in float32: `keep={tuple(self._too_large)}`",
        )


def _schema(node: ir.Node, opset: int) -> defs.OpSchema | None:
    """Return ONNX' schema of the operator; None for one of another domain or with a graph."""
    inner = any(
        a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        for a in node.attributes.values()
    )
    if inner or node.domain not in ("", "ai.onnx") or not defs.has(node.op_type):
        return None
    return defs.get_schema(node.op_type, opset)


def _types(schema: defs.OpSchema, type_str: str) -> set[ir.DataType]:
    """Return the half types among those that a type variable, or a plain type, allows."""
    allowed = [type_str]
    for constraint in schema.type_constraints:
        if constraint.type_param_str == type_str:
            allowed = constraint.allowed_type_strs
    return {half for half in _HALF if f"tensor({half.name.lower()})" in allowed}


def _input(schema: defs.OpSchema, index: int) -> set[ir.DataType]:
    formal = schema.inputs[min(index, len(schema.inputs) - 1)]
    return _types(schema, formal.type_str)


def _outputs(schema: defs.OpSchema, node: ir.Node) -> list[set[ir.DataType]]:
    """Return for each output the half types it may have; none where an attribute declares it."""
    read = {formal.type_str for formal in schema.inputs}
    formals = [
        schema.outputs[min(k, len(schema.outputs) - 1)].type_str for k in range(len(node.outputs))
    ]
    return [_types(schema, name) if name in read else set() for name in formals]


def _name(dtype: ir.DataType) -> Precision:
    return Precision.from_onnx(dtype.name)


def _cast_before(value: ir.Value, wanted: ir.DataType, user: ir.Node) -> ir.Value:
    cast = _cast(value, wanted, f"{value.name}/to_{_name(wanted)}")
    user.graph.insert_before(user, cast)
    return cast.outputs[0]


def _cast_output(model: ir.Model, value: ir.Value) -> None:
    """Put a Cast behind an output that has become half; the name outside stays."""
    if value.dtype == ir.DataType.FLOAT:
        return
    name = value.name
    value.name = f"{name}/{_name(value.dtype)}"
    cast = _cast(value, ir.DataType.FLOAT, f"{name}/to_{Precision.FP32}")
    cast.outputs[0].name = name
    model.graph.append(cast)
    replace_output(model.graph, value, cast.outputs[0])


def _cast(value: ir.Value, to: ir.DataType, name: str) -> ir.Node:
    return new_node("Cast", [value], {"to": int(to)}, name=name, dtype=to, shape=value.shape)
