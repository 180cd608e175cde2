"""A Keras model as it is best traced, for the length of a block; afterwards it is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import tensorflow as tf

from .simpler_calls import simpler_call

__all__ = ["alias", "exportable", "layers_of"]


def layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """Return all layers under `model`, those of models and layers inside it too."""
    return [layer for layer in model._flatten_layers() if layer is not model]  # noqa: SLF001


def alias(index: int) -> str:
    """Return the name that layer `index` bears while it is traced."""
    return f"layer{index}x"


@contextmanager
def exportable(model: keras.Model) -> Iterator[None]:
    """Name the layers by number, let them compute in float32, and write some in simpler ways."""
    with ExitStack() as stack:
        stack.enter_context(_inlined())
        for index, layer in enumerate(layers_of(model)):
            stack.enter_context(_named(layer, alias(index)))
            stack.enter_context(_in_float32(layer))
            simpler = simpler_call(layer)
            if simpler is not None:
                stack.enter_context(_called(layer, simpler))
        yield


@contextmanager
def _inlined() -> Iterator[None]:
    """Trace into functions that Keras hands to XLA, such as a grouped convolution's."""
    own = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(own)


@contextmanager
def _named(layer: keras.layers.Layer, name: str) -> Iterator[None]:
    """Give a layer another name.

    Keras opens a layer's scope more than once and TensorFlow counts the repeats, so that the
    second scope of `conv2d` is `conv2d_1`, which is another layer's name. An alias with its
    count taken off is unmistakable.
    """
    own = layer.name
    layer.name = name
    try:
        yield
    finally:
        layer.name = own


@contextmanager
def _in_float32(layer: keras.layers.Layer) -> Iterator[None]:
    """Undo mixed precision, whose weights are float32: precision is chosen in the ONNX graph."""
    own = layer.dtype_policy
    if own.compute_dtype == own.variable_dtype:
        yield
        return
    layer.dtype_policy = own.variable_dtype
    try:
        yield
    finally:
        layer.dtype_policy = own


@contextmanager
def _called(layer: keras.layers.Layer, call: Callable[..., Any]) -> Iterator[None]:
    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")
