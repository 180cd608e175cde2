"""Trace networks into ONNX with their weights as inputs, which are bound afterwards."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from unetrt.errors import UnsupportedModel
from unetrt.tensors import TensorSpec

from .passes.bind_weights import BindWeights
from .passes.fold_affine import FoldAffine
from .passes.fold_constants import FoldConstants
from .passes.keep_reduced_axes import KeepReducedAxes
from .passes.name_by_layer import NameByLayer
from .passes.reshape_to_transpose import ReshapeToTranspose
from .passes.sink_transpose import SinkTranspose

__all__ = ["Source", "check_free_axes", "clean_trace"]

_HALF = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
_COLOUR = re.compile(r"\x1b\[\d*m")
_CATCH_ERRORS = "TF2ONNX_CATCH_ERRORS"


@dataclass(frozen=True, slots=True)
class Source:
    """Hold a network that can be traced.

    Attributes:
        name: of the model.
        inputs: in the order in which `call` takes them.
        output_names: in the order in which `call` returns them.
        weights: the values of its variables, by names that start with `unetrt_`.
        call: from the flat inputs and then the weights to the flat outputs.
        predict: from the flat inputs to the flat outputs, by the model itself, in float32.
        scope: entered while `call` is traced.
        owner: from the name of a traced node to that of its layer; None where it has none.
        normalization: the settings of the layers that shift and scale the pixels first.
        is_plain: whether all layers are Keras' own; code of others may turn a size into a number.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    output_names: tuple[str, ...]
    weights: Mapping[str, NDArray[Any]]
    call: Callable[..., list[Any]]
    predict: Callable[..., list[Any]]
    scope: Callable[[], AbstractContextManager[None]]
    owner: Callable[[str], str | None]
    normalization: Sequence[Mapping[str, Any]] = ()
    is_plain: bool = False


def clean_trace(source: Source, opset: int, size: tuple[int, int]) -> ir.Model:
    """Trace `source` at a fixed height and width, the batch free, and clean the graph.

    Args:
        source: the network.
        opset: of the graph, 17 or 18.
        size: height and width, in pixels, of image inputs that leave them free.

    Raises:
        UnsupportedModel: tf2onnx cannot write an operation, or something computes in half
            precision; names the layer.
    """
    graph = _trace(source, opset, size)
    for rewrite in (
        FoldConstants(),
        ShapeInferencePass(),
        KeepReducedAxes(),
        ReshapeToTranspose(),
        SinkTranspose(),
        FoldAffine(),
        FoldConstants(),
        NameByLayer(source.owner),
    ):
        rewrite(graph)
    half = [node for node in graph.graph if any(v.dtype in _HALF for v in node.outputs)]
    if half:
        raise UnsupportedModel(
            f"Cannot convert the model {source.name!r}",
            got=f"{half[0].name}, which computes in half precision",
            expected="float32",
            hint="convert the .keras file instead: precision is chosen when converting",
        )
    return graph


def check_free_axes(tensor: TensorSpec, model: str) -> None:
    """Refuse an input with a free axis that is neither batch, height nor width.

    Raises:
        UnsupportedModel: names the input.
    """
    if tensor.with_sides(1, 1).fixed_shape() is None:
        raise UnsupportedModel(
            f"Cannot convert the model {model!r}",
            got=f"an input {tensor.name!r} of shape {tensor.partial_shape}",
            expected="no axis free but batch, height and width of an image",
            hint="give it a fixed size with keras.Input",
        )


def _trace(source: Source, opset: int, size: tuple[int, int]) -> ir.Model:
    images = [
        tf.TensorSpec([None, *_sized(own, size).shape[1:]], own.dtype, f"unetrt_input_{k}")
        for k, own in enumerate(source.inputs)
    ]
    weights = [tf.TensorSpec(w.shape, w.dtype, name) for name, w in source.weights.items()]
    signature, function = [*images, *weights], tf.function(source.call, autograph=False)
    try:
        with source.scope(), _quick_tf2onnx():
            captures = function.get_concrete_function(*signature).graph.captures
            proto, _ = tf2onnx.convert.from_function(
                function, signature, opset=opset, custom_op_handlers=dict(_HANDLERS)
            )
    except Exception as error:  # TensorFlow's and tf2onnx's own share no base but Exception
        raise UnsupportedModel(
            f"tf2onnx cannot convert the model {source.name!r}", got=_reason(error, source)
        ) from error
    graph = ir.from_proto(proto)
    # Constants that a layer holds as tensors come as inputs too.
    held = {inner.name: outer.numpy() for outer, inner in captures}
    BindWeights(held | dict(source.weights))(graph)
    _check_operators(graph, source)
    return _renamed(graph, source)


def _sized(tensor: TensorSpec, size: tuple[int, int]) -> TensorSpec:
    """Return the tensor with the height and width of `size` where it leaves them free."""
    if not tensor.is_image:
        return tensor
    sides = (
        wanted if isinstance(own, str) else own
        for own, wanted in zip(tensor.sides(), size, strict=True)
    )
    return tensor.with_sides(*sides)


@contextmanager
def _quick_tf2onnx() -> Iterator[None]:
    """Keep tf2onnx from copying the graph before each of its passes, and from printing.

    The copies, which let it undo a pass that fails, take two thirds of the time of MobileNetV2's
    conversion. Its own variable turns them off, whatever its value.
    """
    logger = logging.getLogger("tf2onnx")
    level, own = logger.level, os.environ.get(_CATCH_ERRORS)
    logger.setLevel(logging.CRITICAL)
    os.environ[_CATCH_ERRORS] = "FALSE"
    try:
        yield
    finally:
        logger.setLevel(level)
        if own is None:
            del os.environ[_CATCH_ERRORS]
        else:
            os.environ[_CATCH_ERRORS] = own


def _check_operators(graph: ir.Model, source: Source) -> None:
    """Refuse operations that tf2onnx leaves as they were, since ONNX has none of the kind."""
    unknown = [node for node in graph.graph if not onnx.defs.has(node.op_type, node.domain)]
    if unknown:
        places = {f"{node.op_type} in {source.owner(node.name) or node.name}" for node in unknown}
        raise UnsupportedModel(
            f"Cannot convert the model {source.name!r}",
            got=f"operations without an ONNX equivalent: {', '.join(sorted(places))}",
            expected="operations that tf2onnx can convert",
            hint="replace those layers",
        )


def _renamed(model: ir.Model, source: Source) -> ir.Model:
    values = {value.name: value for value in model.graph.inputs}
    model.graph.name = source.name
    for value, name in zip(model.graph.outputs, source.output_names, strict=True):
        value.name = name
    for k, own in enumerate(source.inputs):
        values[f"unetrt_input_{k}"].name = own.name
    return model


def _reason(error: Exception, source: Source) -> str:
    """Return the first sentence of an error, with the layers' own names."""
    lines = [_COLOUR.sub("", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line] or [type(error).__name__]
    # Keras says first where, in a line of its own.
    line = " ".join(lines[: 2 if lines[0].startswith("Exception encountered") else 1]).rstrip(".")
    return re.sub(r"layer\d+x[\w/.-]*", lambda found: source.owner(found[0]) or found[0], line)


def _erfc(context: Any, node: Any, _name: str, _args: Any) -> None:
    """Write erfc(x), of which Keras' exact GELU is made, as 1 - erf(x)."""
    shape, dtype = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    context.remove_node(node.name)
    erf = context.make_node("Erf", list(node.input), name=f"{node.name}/erf")
    one = context.make_const(f"{node.name}/one", np.ones((), np.float32))
    context.make_node(
        "Sub",
        [one.output[0], erf.output[0]],
        name=node.name,
        outputs=list(node.output),
        shapes=[shape],
        dtypes=[dtype],
    )


_HANDLERS: dict[str, tuple[Callable[..., None], list[Any]]] = {"Erfc": (_erfc, [])}
"""Our converters for tf2onnx: by the operation's name, with further arguments."""
