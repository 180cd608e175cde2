"""A mixed-precision model as one that computes in float32, as a reference must."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    import keras

__all__ = ["in_full_precision"]

_HALF = re.compile(r'"(mixed_)?b?float16"')


def in_full_precision(model: keras.Model) -> keras.Model:
    """Return `model`, or, if any layer computes in half precision, its float32 likeness.

    The likeness is made anew from the configuration: setting the layers' policies would leave
    the inputs of nested models in half precision.
    """
    if all(_computes_in_float32(layer) for layer in model._flatten_layers()):  # noqa: SLF001
        return model
    config: dict[str, Any] = json.loads(_HALF.sub('"float32"', json.dumps(model.get_config())))
    likeness = type(model).from_config(config)
    likeness.set_weights(model.get_weights())
    return likeness


def _computes_in_float32(layer: keras.layers.Layer) -> bool:
    return bool(layer.compute_dtype == layer.variable_dtype)
