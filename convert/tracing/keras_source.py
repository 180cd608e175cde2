"""A Keras model, functional, sequential or subclassed, as something to trace."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import signature as parameters
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from unetrt.errors import UnsupportedModel

from .export_mode import alias, exportable, layers_of
from .signature import Signature, read_signature
from .trace import Source

__all__ = ["keras_source"]


def keras_source(model: keras.Model) -> Source:
    """Return `model` as something to trace.

    Raises:
        UnsupportedModel: see `read_signature`; or weights in half precision.
    """
    signature = read_signature(model)
    trainable = len(model.trainable_variables)
    # A subclass may leave the argument out.
    not_training = {"training": False} if "training" in parameters(model.call).parameters else {}

    def call(*tensors: Any) -> list[Any]:
        count = len(signature.inputs)
        x, weights = signature.pack(list(tensors[:count])), tensors[count:]
        made, _ = model.stateless_call(weights[:trainable], weights[trainable:], x, **not_training)
        flat: list[Any] = keras.tree.flatten(made)
        return flat

    return Source(
        name=model.name,
        inputs=signature.inputs,
        output_names=_output_names(model, signature),
        weights=_weights(model),
        call=call,
        scope=lambda: exportable(model),
        owner=_owner(model),
        normalization=_normalization(model),
    )


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
    return {f"w{k}": np.asarray(variable) for k, variable in enumerate(variables)}


def _output_names(model: keras.Model, signature: Signature) -> tuple[str, ...]:
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
    taken = {port.name for port in signature.inputs}
    unique: list[str] = []
    for name in names:
        own, number = name, 1
        while own in taken:
            number += 1
            own = f"{name}_{number}"
        taken.add(own)
        unique.append(own)
    return tuple(unique)


def _output_structure(model: keras.Model, signature: Signature) -> Any:
    inputs = [keras.KerasTensor(port.shape, port.dtype) for port in signature.inputs]
    return model.compute_output_spec(signature.pack(inputs))


def _normalization(model: keras.Model) -> dict[str, Any]:
    """Return the settings of the first layer that shifts and scales pixels, or nothing."""
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.Rescaling):
            numbers = {
                name: np.asarray(getattr(layer, name)).tolist() for name in ("scale", "offset")
            }
            return {"layer": layer.name, **numbers}
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            numbers = {
                name: np.ravel(getattr(layer, name)).tolist() for name in ("mean", "variance")
            }
            return {"layer": layer.name, **numbers}
    return {}


def _owner(model: keras.Model) -> Callable[[str], str | None]:
    names = {alias(k): layer.name for k, layer in enumerate(layers_of(model))}

    def owner(node: str) -> str | None:
        scopes = (re.sub(r"_\d+$", "", part) for part in node.split("/"))
        path = [names[scope] for scope in scopes if scope in names]
        return "/".join(path) or None  # tf2onnx writes some nodes of its own outside of any layer

    return owner
