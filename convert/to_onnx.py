"""Keras to ONNX: trace with the weights as inputs, bind them afterwards, clean the graph."""

from __future__ import annotations

import json
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
from unetrt.files import replacing, sha256_of
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
        UnsupportedModel: several inputs or outputs, a layer tf2onnx cannot convert, or weights
            over 2 GiB.
    """
    spec = spec or ExportSpec()
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
        passes.NameByLayer([layer.name for layer in model.layers]),
    )(graph)
    multiple = _size_multiple(graph)
    graph.metadata_props.update(
        {
            "unetrt.classes": json.dumps(origin.classes),
            "unetrt.size_multiple": str(multiple),
            "unetrt.source_sha256": origin.sha256,
        }
    )
    with replacing(path) as temporary:
        ir.save(graph, temporary)
    onnx_model = OnnxModel(
        path=path,
        sha256=sha256_of(path),
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
    onnx_model.save_sidecar()
    return onnx_model


def _variables(model: keras.Model) -> list[Any]:
    return [*model.trainable_variables, *model.non_trainable_variables]


def _traced(model: keras.Model, spec: ExportSpec) -> ir.Model:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UnsupportedModel(
            f"Cannot convert the model {model.name!r}",
            got=f"{len(model.inputs)} inputs and {len(model.outputs)} outputs",
            expected="one of each",
        )
    variables = _variables(model)
    size = sum(int(np.prod(variable.shape)) * 4 for variable in variables)
    if size > _PROTOBUF_LIMIT:
        raise UnsupportedModel(
            f"Cannot write the model {model.name!r} as one ONNX file",
            got=f"{size / 2**30:.1f} GiB of weights",
            expected="less than 2 GiB",
        )
    trainable = len(model.trainable_variables)

    def call(x: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
        y, _ = model.stateless_call(weights[:trainable], weights[trainable:], x, training=False)
        return y

    signature = [_input_signature(model.inputs[0])]
    signature += [tf.TensorSpec(v.shape, v.dtype, f"w{k}") for k, v in enumerate(variables)]
    try:
        proto, _ = tf2onnx.convert.from_function(
            tf.function(call), input_signature=signature, opset=spec.opset
        )
    except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
        raise UnsupportedModel(
            f"tf2onnx cannot convert the model {model.name!r}", got=str(error).splitlines()[0]
        ) from error
    return ir.from_proto(proto)


def _input_signature(tensor: Any) -> tf.TensorSpec:
    shape = list(tensor.shape)
    if len(shape) != 4 or shape[-1] is None:  # noqa: PLR2004
        raise UnsupportedModel(
            f"Cannot convert a model whose input {tensor.name!r} has shape {tensor.shape}",
            expected="[batch, height, width, channels] with the channels known",
        )
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
        reached = reached // stride if node.op_type == "ConvTranspose" else reached * stride
        scale.update(dict.fromkeys(node.outputs, reached))
    return max(scale.values(), default=1)
