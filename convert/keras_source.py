"""Make a Keras model, functional, sequential or subclassed, ready to be traced."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from inspect import signature as parameters
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from unetrt.errors import UnsupportedModel
from unetrt.keras_models import in_full_precision
from unetrt.tensors import IMAGE_RANK, TensorSpec

from .passes.nodes import unused
from .trace import Source, check_free_axes

__all__ = ["keras_source"]

_ARITHMETIC = {"Add", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"}
"""Operations between layers that have nothing to do with sizes."""


def keras_source(model: keras.Model) -> Source:
    """Return `model` as a network that can be traced; a subclassed one must have been called once.

    Raises:
        UnsupportedModel: it was never built; a free axis is neither batch, height nor width;
            weights are in half precision; or channels come first.
    """
    _check_layout(model)
    signature = _read_signature(model)
    trainable = len(model.trainable_variables)
    # A subclass may leave the argument out.
    not_training = {"training": False} if "training" in parameters(model.call).parameters else {}

    def call(*tensors: Any) -> list[Any]:
        count = len(signature.inputs)
        x, weights = signature.pack(list(tensors[:count])), tensors[count:]
        outputs, _ = model.stateless_call(
            weights[:trainable], weights[trainable:], x, **not_training
        )
        flat: list[Any] = keras.tree.flatten(outputs)
        return flat

    def predict(*tensors: Any) -> list[Any]:
        own = in_full_precision(model)
        flat: list[Any] = keras.tree.flatten(own(signature.pack(list(tensors)), **not_training))
        return flat

    return Source(
        name=model.name,
        inputs=signature.inputs,
        output_names=_output_names(model, signature),
        weights=_weights(model),
        call=call,
        predict=predict,
        scope=lambda: _exportable(model),
        owner=_owner(model),
        normalization=_normalization(model),
        is_plain=_is_plain(model),
    )


@dataclass(frozen=True, slots=True)
class _Signature:
    """Hold the inputs of a model.

    Attributes:
        inputs: flat, in the order of `keras.tree.flatten(structure)`.
        structure: the model's own nesting of them.
    """

    inputs: tuple[TensorSpec, ...]
    structure: Any

    def pack(self, tensors: list[Any]) -> Any:
        """Nest flat tensors as the model expects them."""
        return keras.tree.pack_sequence_as(self.structure, tensors)


def _read_signature(model: keras.Model) -> _Signature:
    inputs = getattr(model, "inputs", None)
    if inputs:
        sequential = isinstance(model, keras.Sequential)
        structure = inputs[0] if sequential else model.input
        # Flat in the order of the structure: `model.inputs` is, too.
        tensors = keras.tree.flatten(structure)
        inputs = tuple(
            TensorSpec.from_partial(t.name, _in_full_precision(t.dtype), _shape(model, t))
            for t in tensors
        )
    else:
        inputs, structure = _recorded(model)
    for tensor in inputs:
        check_free_axes(tensor, model.name)
    return _Signature(inputs, structure)


def _shape(model: keras.Model, tensor: Any) -> tuple[int | None, ...]:
    if tensor.shape is None:
        raise UnsupportedModel(
            f"Cannot convert the model {model.name!r}",
            got=f"an input {tensor.name!r} of unknown rank",
            expected="[batch, height, width, channels]",
        )
    return tuple(tensor.shape)


def _in_full_precision(dtype: str) -> str:
    """Return float32 for half precision: models are traced in float32."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def _recorded(model: keras.Model) -> tuple[tuple[TensorSpec, ...], Any]:
    """Return the inputs that a subclassed model recorded when it was first called."""
    shapes = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if shapes is None:
        raise UnsupportedModel(
            f"Cannot convert the model {model.name!r}",
            got="a model that was never built, or takes several arguments",
            expected="one that takes its inputs as one argument, and knows their shapes",
            hint="call it once on an example, or build it with model.build(shape)",
        )
    names, structure = _flattened(shapes, "input")
    dtype = keras.backend.floatx()
    inputs = tuple(
        TensorSpec.from_partial(name, dtype, (None, *shape[1:])) for name, shape in names
    )
    return inputs, structure


def _flattened(shapes: Any, name: str) -> tuple[list[tuple[str, tuple[int | None, ...]]], Any]:
    """Flatten nested shapes in the order of keras.tree; a leaf is a tuple of numbers."""
    if isinstance(shapes, dict):
        by_key = {key: _flattened(shapes[key], str(key)) for key in sorted(shapes)}
        return [leaf for leaves, _ in by_key.values() for leaf in leaves], {
            key: structure for key, (_, structure) in by_key.items()
        }
    if all(side is None or isinstance(side, int) for side in shapes):
        return [(name, tuple(shapes))], 0
    parts = [_flattened(part, f"{name}_{k}") for k, part in enumerate(shapes)]
    return [leaf for leaves, _ in parts for leaf in leaves], [structure for _, structure in parts]


def _weights(model: keras.Model) -> dict[str, NDArray[Any]]:
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    for variable in variables:
        if "float16" in str(variable.dtype):
            raise UnsupportedModel(
                f"Cannot convert the model {model.name!r}",
                got=f"weights {variable.path} in {variable.dtype}",
                expected="float32",
                hint="train with mixed_float16, whose weights are float32",
            )
    return {f"unetrt_weight_{k}": np.asarray(variable) for k, variable in enumerate(variables)}


def _output_names(model: keras.Model, signature: _Signature) -> tuple[str, ...]:
    """Name the flat outputs: by a dict's keys, else by the layers they leave."""
    if isinstance(model, keras.Sequential):
        return (model.layers[-1].name,)
    functional = bool(getattr(model, "outputs", None))
    structure = model.output if functional else _output_structure(model, signature)
    if isinstance(structure, dict):
        paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
        names = ["_".join(map(str, path)) for path in paths]
    elif functional:
        names = list(model.output_names)
    else:
        count = len(keras.tree.flatten(structure))
        names = ["output"] if count == 1 else [f"output_{k}" for k in range(count)]
    taken = {tensor.name for tensor in signature.inputs}
    unique: list[str] = []
    for name in names:
        unique.append(unused(name, taken))
        taken.add(unique[-1])
    return tuple(unique)


def _output_structure(model: keras.Model, signature: _Signature) -> Any:
    inputs = [keras.KerasTensor(spec.partial_shape, spec.dtype) for spec in signature.inputs]
    return model.compute_output_spec(signature.pack(inputs))


def _normalization(model: keras.Model) -> list[dict[str, Any]]:
    """Return the settings of the layers at the start that shift and scale pixels."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling):
            names = ("scale", "offset")
        elif isinstance(layer, keras.layers.Normalization) and layer.built:
            names = ("mean", "variance")
        elif isinstance(layer, keras.layers.InputLayer):
            continue
        else:
            break
        numbers = {name: np.ravel(getattr(layer, name)).tolist() for name in names}
        found.append({"layer": layer.name, **numbers})
    return found


def _is_plain(model: keras.Model) -> bool:
    """Return whether only Keras' own layers, and sums and products, make up the model.

    Code of others may turn a height into a number, which the graph then holds like a weight.
    """
    layers = [model, *_layers_of(model)]
    parts = [part for layer in layers for part in getattr(layer, "operations", ())]
    return all(type(layer).__module__.startswith("keras.") for layer in layers) and all(
        isinstance(part, keras.layers.Layer) or type(part).__name__ in _ARITHMETIC for part in parts
    )


def _check_layout(model: keras.Model) -> None:
    for layer in _layers_of(model):
        if getattr(layer, "data_format", None) == "channels_first":
            raise UnsupportedModel(
                f"Cannot convert the model {model.name!r}",
                got=f"the layer {layer.name!r} with data_format 'channels_first'",
                expected="'channels_last'",
                hint="build it with channels last and convert it with layout NCHW",
            )


def _owner(model: keras.Model) -> Callable[[str], str | None]:
    names = {_alias(k): layer.name for k, layer in enumerate(_layers_of(model))}

    def owner(node: str) -> str | None:
        scopes = (re.sub(r"_\d+$", "", part) for part in node.split("/"))
        path = [names[scope] for scope in scopes if scope in names]
        return "/".join(path) or None  # tf2onnx writes some nodes of its own outside of any layer

    return owner


def _layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """Return all layers of `model`, also those of models and layers inside it."""
    return [layer for layer in model._flatten_layers() if layer is not model]  # noqa: SLF001


def _alias(index: int) -> str:
    """Return the name that layer `index` bears while it is traced."""
    return f"layer{index}x"


@contextmanager
def _exportable(model: keras.Model) -> Iterator[None]:
    """Name the layers by number, let them compute in float32, and call some in simpler ways."""
    with ExitStack() as stack:
        stack.enter_context(_inlined())
        for index, layer in enumerate(_layers_of(model)):
            stack.enter_context(_named(layer, _alias(index)))
            stack.enter_context(_in_float32(layer))
            simpler = _simpler_call(layer)
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


def _simpler_call(layer: keras.layers.Layer) -> Callable[..., Any] | None:
    """Return a function to call in the layer's place, or None.

    A subclass may do more than its parent, so only Keras' own classes count.
    """
    if type(layer) is keras.layers.UpSampling2D and layer.interpolation == "nearest":
        return _nearest(layer)
    if type(layer) is keras.layers.GroupNormalization and layer.axis in (-1, IMAGE_RANK - 1):
        return _group_normalization(layer)
    return None


def _nearest(layer: keras.layers.UpSampling2D) -> Callable[..., Any]:
    """Return nearest up-sampling as one operation; Keras' repeats become twenty nodes of ONNX."""
    rows, columns = layer.size

    def call(x: tf.Tensor) -> tf.Tensor:
        size = (x.shape[1] * rows, x.shape[2] * columns)
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size)

    return call


def _group_normalization(layer: keras.layers.GroupNormalization) -> Callable[..., Any]:
    """Return group normalisation without the reshapes to groups, which would hold the size.

    The mean of a group is the mean of its channels' means: a 1x1 convolution of [N, 1, 1, C].
    """
    own = layer.call

    def call(x: tf.Tensor) -> Any:
        if len(x.shape) != IMAGE_RANK:
            return own(x)
        channels = x.shape[-1]
        groups = layer.groups if layer.groups != -1 else channels
        size = channels // groups
        averaging = np.kron(np.eye(groups), np.full((size, size), 1 / size)).astype(np.float32)

        def over_groups(y: tf.Tensor) -> tf.Tensor:
            means = tf.reduce_mean(y, axis=(1, 2), keepdims=True)
            return tf.nn.conv2d(means, averaging[np.newaxis, np.newaxis], 1, "VALID")

        centred = x - over_groups(x)
        variance = over_groups(centred * centred)
        # Not a scalar: tf2onnx 1.17 cannot move a Transpose past an Add of one.
        y = centred / tf.sqrt(variance + tf.fill([channels], layer.epsilon))
        y = ops.multiply(y, layer.gamma) if layer.scale else y
        return ops.add(y, layer.beta) if layer.center else y

    return call
