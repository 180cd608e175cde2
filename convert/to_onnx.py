"""Keras to ONNX: trace with the weights as inputs, bind them afterwards, clean the graph."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import tensorflow as tf
import tf2onnx
from onnx_ir.passes.common import ShapeInferencePass

from unetrt import vendor
from unetrt.artifacts import KerasFile, OnnxModel
from unetrt.errors import UnsupportedModel
from unetrt.tensors import TensorSpec

from . import passes

__all__ = ["ExportSpec", "export_onnx"]

_TRACE_SIDE = 256
"""Height and width while tracing where the model leaves them free: halves eight times."""

_PROTOBUF_LIMIT = 2**31 - 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec:
    """How a model is written as ONNX.

    Attributes:
        opset: version of the operators; 17 is understood by every TensorRT since 8.5.
    """

    opset: int = 17


def export_onnx(
    model: keras.Model, path: Path, spec: ExportSpec | None = None, *, origin: KerasFile
) -> OnnxModel:
    """Write `model` to `path` as ONNX, NHWC at the edges, height and width free where they can be.

    `origin` is the file the model was read from: its classes travel on.

    Raises:
        UnsupportedModel: several inputs or outputs, not images, mixed precision, a layer tf2onnx
            cannot convert, or weights over 2 GiB.
    """
    spec = spec or ExportSpec()
    _check(model)
    graph = _traced(model, spec)
    weights = {f"w{k}": np.asarray(variable) for k, variable in enumerate(_variables(model))}
    graph.graph.name = model.name
    graph.graph.outputs[0].name = model.layers[-1].name
    passes.Sequential(
        passes.BindWeights(weights),
        passes.FoldConstants(),
        ShapeInferencePass(),
        passes.ReshapeToTranspose(),
        passes.SinkTranspose(),
        passes.FoldAffine(),
        passes.FoldConstants(),
        passes.FreeAxes(),
        passes.NameByLayer({_alias(k): layer.name for k, layer in enumerate(model.layers)}),
    )(graph)
    multiple = _size_multiple(graph)
    graph.metadata_props.update(
        {
            "unetrt.classes": json.dumps(origin.classes),
            "unetrt.size_multiple": str(multiple),
            "unetrt.source_sha256": origin.sha256,
        }
    )
    return OnnxModel.write(
        path,
        lambda temporary: ir.save(graph, temporary),
        classes=origin.classes,
        size_multiple=multiple,
        source=origin.as_source,
        made_with={
            "spec": asdict(spec),
            **{name: vendor.version(name) for name in ("keras", "tensorflow", "tf2onnx")},
        },
        inputs=tuple(map(_tensor_spec, graph.graph.inputs)),
        outputs=tuple(map(_tensor_spec, graph.graph.outputs)),
        precision="fp32",
    )


def _check(model: keras.Model) -> None:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnsupportedModel(
            f"Cannot convert the model {model.name!r}",
            got=f"{len(model.inputs)} inputs and {len(model.outputs)} outputs",
            expected="one of each",
        )
    for tensor in (model.inputs[0], model.outputs[0]):
        if len(tensor.shape) != 4 or tensor.shape[-1] is None:  # noqa: PLR2004
            raise UnsupportedModel(
                f"Cannot convert a model whose tensor {tensor.name!r} has shape {tensor.shape}",
                expected="[batch, height, width, channels] with the channels known",
            )
    half = {layer.compute_dtype for layer in model.layers} - {"float32"}
    if half:
        raise UnsupportedModel(
            f"Cannot convert the model {model.name!r}",
            got=f"layers that compute in {', '.join(sorted(half))}",
            expected="float32",
            hint="set every layer's dtype policy to float32; float16 is chosen when converting",
        )
    size = sum(int(np.prod(variable.shape)) * 4 for variable in _variables(model))
    if size > _PROTOBUF_LIMIT:
        raise UnsupportedModel(
            f"Cannot write the model {model.name!r} as one ONNX file",
            got=f"{size / 2**30:.1f} GiB of weights",
            expected="less than 2 GiB",
        )


def _variables(model: keras.Model) -> list[Any]:
    return [*model.trainable_variables, *model.non_trainable_variables]


def _traced(model: keras.Model, spec: ExportSpec) -> ir.Model:
    variables = _variables(model)
    trainable = len(model.trainable_variables)

    def call(x: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
        y, _ = model.stateless_call(weights[:trainable], weights[trainable:], x, training=False)
        return y

    signature = [_input_signature(model.inputs[0])]
    signature += [tf.TensorSpec(v.shape, v.dtype, f"w{k}") for k, v in enumerate(variables)]
    try:
        with _aliased(model):
            proto, _ = tf2onnx.convert.from_function(
                tf.function(call), input_signature=signature, opset=spec.opset
            )
    except (ValueError, TypeError, RuntimeError, NotImplementedError, KeyError) as error:
        words = str(error).strip() or type(error).__name__
        raise UnsupportedModel(
            f"tf2onnx cannot convert the model {model.name!r}", got=words.splitlines()[0]
        ) from error
    return ir.from_proto(proto)


def _alias(index: int) -> str:
    return f"layer{index}x"


@contextmanager
def _aliased(model: keras.Model) -> Iterator[None]:
    """Name the layers by number while tracing.

    Keras opens a layer's scope more than once and TensorFlow counts the repeats, so that the
    second scope of `conv2d` is `conv2d_1`, which is another layer's name. An alias with its
    count taken off is unmistakable.
    """
    names = [layer.name for layer in model.layers]
    try:
        for index, layer in enumerate(model.layers):
            layer._name = _alias(index)  # noqa: SLF001  (Keras has no public way to rename)
        yield
    finally:
        for layer, name in zip(model.layers, names, strict=True):
            layer._name = name  # noqa: SLF001


def _input_signature(tensor: Any) -> tf.TensorSpec:
    shape = list(tensor.shape)
    shape[1:3] = [side or _TRACE_SIDE for side in shape[1:3]]
    return tf.TensorSpec([None, *shape[1:]], tensor.dtype, name=tensor.name)


def _tensor_spec(value: ir.Value) -> TensorSpec:
    names = ("batch", "height", "width", "channels")
    shape = tuple(
        size if isinstance(size, int) else (size.value or name)
        for size, name in zip(value.shape, names, strict=True)
    )
    return TensorSpec(value.name, value.dtype.numpy().name, shape)


def _size_multiple(model: ir.Model) -> int:
    """Return what height and width must be multiples of: the deepest product of strides."""
    scale: dict[ir.Value, int] = {}
    for node in model.graph:
        reached = max((scale.get(v, 1) for v in node.inputs if v is not None), default=1)
        strides = node.attributes.get("strides")
        stride = max(strides.as_ints()) if strides is not None else 1
        reached = max(1, reached // stride) if node.op_type == "ConvTranspose" else reached * stride
        scale.update(dict.fromkeys(node.outputs, reached))
    return max(scale.values(), default=1)
