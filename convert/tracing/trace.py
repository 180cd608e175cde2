"""Trace a network into ONNX with its weights as inputs: they are bound afterwards."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from unetrt.errors import UnsupportedModel

from ..passes import BindWeights
from .missing_ops import HANDLERS
from .signature import Port

__all__ = ["Source", "trace"]

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
