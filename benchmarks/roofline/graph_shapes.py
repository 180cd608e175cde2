"""The shape and type of every value of an ONNX file, at a given size of its images."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError, UnsupportedModel

__all__ = ["Value", "shaped_graph"]

_SMALL = 64
"""Elements up to which a constant may be a shape, which inference wants to read."""

_FREE = ("batch", "height", "width")


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: its shape, NumPy's name of its type, and whether the file holds it."""

    shape: tuple[int, ...]
    dtype: str
    itemsize: int
    constant: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor."""
        return prod(self.shape) * self.itemsize


def shaped_graph(
    model: OnnxModel, *, batch: int, height: int, width: int
) -> tuple[Any, dict[str, Value]]:
    """Return the GraphProto of `model` without its weights, and each value's shape and type.

    Axes that the file fixes stay as they are.

    Raises:
        ArtifactError: the file is no ONNX file.
        UnsupportedModel: a shape depends on the data.
        MissingDependency: onnx is not installed.
    """
    onnx = vendor.onnx()
    try:
        proto = onnx.load(model.path, load_external_data=False)
    except Exception as error:  # protobuf's own errors share no base but Exception
        raise ArtifactError(f"Cannot read {model.path}", got=error, expected="ONNX") from error
    graph, sizes = proto.graph, {"batch": batch, "height": height, "width": width}
    held = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_param:
                name = "batch" if axis == 0 else dimension.dim_param
                dimension.dim_value = sizes.get(name, 1)
    _weights_as_inputs(onnx, graph)
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    values = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        values[value.name] = _value(onnx, value, constant=value.name in held)
    for tensor in inferred.initializer:
        values[tensor.name] = _held(onnx, tensor)
    missing = [n for node in inferred.node for n in node.output if n and values.get(n) is None]
    if missing:
        raise UnsupportedModel(
            f"Cannot tell the shapes in {model.path} from its graph",
            got=f"{len(missing)} of unknown shape, such as {missing[0]}",
            expected="shapes that follow from the image's",
        )
    return inferred, {name: value for name, value in values.items() if value is not None}


def _weights_as_inputs(onnx: Any, graph: Any) -> None:
    """Leave large weights' shapes and types only: shape inference would copy all of them."""
    large = [t for t in graph.initializer if prod(t.dims) > _SMALL or t.external_data]
    small = [t for t in graph.initializer if not (prod(t.dims) > _SMALL or t.external_data)]
    graph.input.extend(
        onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in large
    )
    del graph.initializer[:]
    graph.initializer.extend(small)


def _value(onnx: Any, value: Any, *, constant: bool) -> Value | None:
    tensor = value.type.tensor_type
    dimensions = tensor.shape.dim
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in dimensions):
        return None
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return Value(tuple(d.dim_value for d in dimensions), dtype.name, dtype.itemsize, constant)


def _held(onnx: Any, tensor: Any) -> Value:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return Value(tuple(tensor.dims), dtype.name, dtype.itemsize, constant=True)
