"""Trace networks into ONNX with their weights as inputs, which are bound afterwards."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from unetrt.errors import UnsupportedModel

from . import passes
from .passes import BindWeights

__all__ = ["Port", "Signature", "Source", "clean_trace", "read_signature"]

_IMAGE_RANK = 4


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output: its name, type, and shape with None for free axes."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    @property
    def is_image(self) -> bool:
        """Whether it is [batch, height, width, channels]."""
        return len(self.shape) == _IMAGE_RANK

    def check(self, model: str) -> None:
        """Raise UnsupportedModel where an axis is free that no size can be chosen for."""
        if None in (self.shape[3:] if self.is_image else self.shape[1:]):
            raise UnsupportedModel(
                f"Cannot convert the model {model!r}",
                got=f"an input {self.name!r} of shape {self.shape}",
                expected="no axis free but batch, height and width of an image",
                hint="give it a fixed size with keras.Input",
            )

    def at(self, size: tuple[int, int]) -> tuple[int | None, ...]:
        """Return the shape with a free height and width replaced by those of `size`."""
        if not self.is_image:
            return self.shape
        sides = (own or wanted for own, wanted in zip(self.shape[1:3], size, strict=True))
        return (self.shape[0], *sides, self.shape[3])


@dataclass(frozen=True, slots=True)
class Signature:
    """How to call a model: a nested structure as it expects, flat here.

    Attributes:
        inputs: in the order of `keras.tree.flatten(structure)`.
        structure: the model's own nesting of its inputs.
    """

    inputs: tuple[Port, ...]
    structure: Any

    def pack(self, tensors: list[Any]) -> Any:
        """Nest flat tensors as the model expects them."""
        return keras.tree.pack_sequence_as(self.structure, tensors)


def read_signature(model: keras.Model) -> Signature:
    """Read how to call `model`; one that is subclassed must have been called once.

    Raises:
        UnsupportedModel: it was never built, or a free axis is neither batch, height nor width.
    """
    inputs = getattr(model, "inputs", None)
    if inputs:
        sequential = isinstance(model, keras.Sequential)
        structure = inputs[0] if sequential else model.input
        # Flat in the order of the structure: `model.inputs` is, too.
        tensors = keras.tree.flatten(structure)
        ports = tuple(Port(t.name, _full(t.dtype), _shape(model, t)) for t in tensors)
    else:
        ports, structure = _recorded(model)
    for port in ports:
        port.check(model.name)
    return Signature(ports, structure)


def _shape(model: keras.Model, tensor: Any) -> tuple[int | None, ...]:
    if tensor.shape is None:
        raise UnsupportedModel(
            f"Cannot convert the model {model.name!r}",
            got=f"an input {tensor.name!r} of unknown rank",
            expected="[batch, height, width, channels]",
        )
    return tuple(tensor.shape)


def _full(dtype: str) -> str:
    """Return float32 for half precision: models are traced in float32."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def _recorded(model: keras.Model) -> tuple[tuple[Port, ...], Any]:
    """Return what a subclassed model recorded when it was first called."""
    shapes = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if shapes is None:
        raise UnsupportedModel(
            f"Cannot convert the model {model.name!r}",
            got="a model that was never built, or takes several arguments",
            expected="one that takes its inputs as one argument, and knows their shapes",
            hint="call it once on an example, or build it with model.build(shape)",
        )
    names, structure = _named(shapes, "input")
    dtype = keras.backend.floatx()
    ports = tuple(Port(name, dtype, (None, *shape[1:])) for name, shape in names)
    return ports, structure


def _named(shapes: Any, name: str) -> tuple[list[tuple[str, tuple[int | None, ...]]], Any]:
    """Flatten nested shapes in the order of keras.tree; a leaf is a tuple of numbers."""
    if isinstance(shapes, dict):
        by_key = {key: _named(shapes[key], str(key)) for key in sorted(shapes)}
        return [p for part, _ in by_key.values() for p in part], {
            k: s for k, (_, s) in by_key.items()
        }
    if all(side is None or isinstance(side, int) for side in shapes):
        return [(name, tuple(shapes))], 0
    parts = [_named(part, f"{name}_{k}") for k, part in enumerate(shapes)]
    return [p for part, _ in parts for p in part], [s for _, s in parts]


def _erfc(context: Any, node: Any, _name: str, _args: Any) -> None:
    """Write erfc(x) as 1 - erf(x); Keras' exact GELU is made of it."""
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


HANDLERS: dict[str, tuple[Callable[..., None], list[Any]]] = {"Erfc": (_erfc, [])}
"""As tf2onnx takes them: by the operation's name, with further arguments."""


_COLOUR = re.compile(r"\x1b\[\d*m")
_CATCH_ERRORS = "TF2ONNX_CATCH_ERRORS"


@dataclass(frozen=True, slots=True)
class Source:
    """A network that can be traced.

    Attributes:
        name: of the model.
        inputs: what it takes, in the order in which `call` wants them.
        output_names: of what it gives, in order.
        weights: its variables' values, by names that start with `unetrt_`.
        call: the flat inputs and then the weights to the flat outputs.
        answer: the flat inputs to the flat outputs, by the model itself, in float32.
        scope: entered while `call` is traced.
        owner: the layer that a traced node's name belongs to, None where it tells none.
        normalization: the layers that shift and scale the pixels first.
        is_plain: whether all layers are Keras' own, none of which makes a number of a size.
    """

    name: str
    inputs: tuple[Port, ...]
    output_names: tuple[str, ...]
    weights: Mapping[str, NDArray[Any]]
    call: Callable[..., list[Any]]
    answer: Callable[..., list[Any]]
    scope: Callable[[], AbstractContextManager[None]]
    owner: Callable[[str], str | None]
    normalization: Sequence[Mapping[str, Any]] = ()
    is_plain: bool = False


def trace(source: Source, opset: int, size: tuple[int, int]) -> ir.Model:
    """Trace `source` at a fixed height and width, the batch free.

    Raises:
        UnsupportedModel: an operation that tf2onnx cannot write; names it.
    """
    images = [
        tf.TensorSpec([None, *port.at(size)[1:]], port.dtype, f"unetrt_input_{k}")
        for k, port in enumerate(source.inputs)
    ]
    weights = [tf.TensorSpec(w.shape, w.dtype, name) for name, w in source.weights.items()]
    signature, function = [*images, *weights], tf.function(source.call, autograph=False)
    try:
        with source.scope(), _brisk():
            captures = function.get_concrete_function(*signature).graph.captures
            proto, _ = tf2onnx.convert.from_function(
                function, signature, opset=opset, custom_op_handlers=dict(HANDLERS)
            )
    except Exception as error:  # TensorFlow's and tf2onnx's own share no base but Exception
        raise UnsupportedModel(
            f"tf2onnx cannot convert the model {source.name!r}", got=_words(error, source)
        ) from error
    graph = ir.from_proto(proto)
    # Constants that a layer holds as tensors come as inputs too.
    held = {inner.name: outer.numpy() for outer, inner in captures}
    BindWeights(held | dict(source.weights))(graph)
    _check_operators(graph, source)
    return _renamed(graph, source)


@contextmanager
def _brisk() -> Iterator[None]:
    """Keep tf2onnx from copying the graph before each of its passes, and from printing.

    It copies so that a pass that fails can be undone: two thirds of the time of MobileNetV2's
    conversion. Its own variable turns that off, whatever its value.
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
    """Refuse what tf2onnx leaves as it was where it knows no ONNX for it."""
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
    for k, port in enumerate(source.inputs):
        values[f"unetrt_input_{k}"].name = port.name
    return model


def _words(error: Exception, source: Source) -> str:
    """Return what the error says first, with the layers' own names."""
    lines = [_COLOUR.sub("", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line] or [type(error).__name__]
    # Keras says first in which layer, and what only then.
    line = " ".join(lines[: 2 if lines[0].startswith("Exception encountered") else 1]).rstrip(".")
    return re.sub(r"layer\d+x[\w/.-]*", lambda found: source.owner(found[0]) or found[0], line)


_HALF = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16}


def clean_trace(source: Source, opset: int, size: tuple[int, int]) -> ir.Model:
    """Trace `source` at a fixed height and width, the batch free, and clean the graph.

    Raises:
        UnsupportedModel: see `trace`; or something computes in half precision.
    """
    graph = trace(source, opset, size)
    for rewrite in (
        passes.FoldConstants(),
        ShapeInferencePass(),
        passes.KeepReducedAxes(),
        passes.ReshapeToTranspose(),
        passes.SinkTranspose(),
        passes.FoldAffine(),
        passes.FoldConstants(),
        passes.NameByLayer(source.owner),
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
