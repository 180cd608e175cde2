"""Read off a Keras model what building and converting it both need: its sizes, its float32 form."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from unetrt.errors import UnsupportedModel
from unetrt.sizes import SizeRule

if TYPE_CHECKING:
    from typing import Any

    import keras

__all__ = ["in_full_precision", "size_rule"]

_MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_UNPADDED = _MULTIPLES[:6]
_LARGE = 2048
"""Pixels that no margin uses up."""

_HALF = re.compile(r'"(mixed_)?b?float16"')


def size_rule(model: keras.Model) -> SizeRule:
    """Find the heights and widths that `model` takes, and by how much its output is smaller.

    Strides, poolings and branches of every kind count.

    Args:
        model: one image [batch, height, width, channels] in, one map out.

    Raises:
        UnsupportedModel: no rule holds: the output is half the size, or shifted, or of no size.

    Example:
        >>> import keras
        >>> image = keras.Input((None, None, 1))
        >>> size_rule(keras.Model(image, keras.layers.Conv2D(2, 3)(image)))
        SizeRule(multiple=1, remainder=0, margin=1)
    """
    _, height, width, _ = model.input_shape
    if height is not None and width is not None:
        margin = _margin(model, (height, width))
        if margin is not None:
            # Its one size is all that counts; one rule must do for both sides.
            return SizeRule(1, 0, margin)
    else:
        for multiple in _MULTIPLES:  # odd, so that nothing smaller passes
            if _margin(model, _sides(model, 3 * multiple, 5 * multiple)) == 0:
                return SizeRule(multiple)
        for multiple in _UNPADDED:
            rules = [
                SizeRule(multiple, remainder, margin)
                for remainder in range(multiple)
                if (margin := _margin(model, _unalike(model, multiple, remainder))) is not None
            ]
            if rules:  # where a pooling drops a last row, more is lost than need be
                return min(rules, key=lambda rule: rule.margin)
    raise UnsupportedModel(
        f"Cannot find a size that {model.name!r} gives back",
        got=f"an output of {model.output_shape}, or another size at every multiple up to 256",
        expected="a map as large as the image, or smaller by the same margin at every edge",
    )


def in_full_precision(model: keras.Model) -> keras.Model:
    """Return `model` or, if any layer computes in half precision, a float32 copy of it.

    The copy is made anew from the configuration: setting the layers' policies would leave the
    inputs of nested models in half precision.

    Example:
        >>> import keras
        >>> image = keras.Input((8, 8, 1))
        >>> half = keras.Model(image, keras.layers.Conv2D(2, 1, dtype="mixed_float16")(image))
        >>> half.output.dtype, in_full_precision(half).output.dtype
        ('float16', 'float32')
    """
    if all(_computes_in_float32(layer) for layer in model._flatten_layers()):  # noqa: SLF001
        return model
    config: dict[str, Any] = json.loads(_HALF.sub('"float32"', json.dumps(model.get_config())))
    copy = type(model).from_config(config)
    copy.set_weights(model.get_weights())
    return copy


def _unalike(model: keras.Model, multiple: int, remainder: int) -> tuple[int, int]:
    """Return two large sides that fit.

    They are so far apart that half the multiple does not suit both, and that an output of half
    the size is not taken for one with a margin.
    """
    first = _LARGE // multiple * multiple + remainder
    return _sides(model, first, first + 3 * multiple)


def _sides(model: keras.Model, height: int, width: int) -> tuple[int, int]:
    """Return height and width, or those that the model fixes in their place."""
    _, own_height, own_width, _ = model.input_shape
    return own_height or height, own_width or width


def _margin(model: keras.Model, sides: tuple[int, int]) -> int | None:
    """Return by how much the output is smaller at each edge; None where there is no such number."""
    try:
        output = model.compute_output_shape((1, *sides, model.input_shape[-1]))[1:3]
    except ValueError:  # a skip that does not fit what it is joined to
        return None
    lost = [side - own for side, own in zip(sides, output, strict=True)]
    return lost[0] // 2 if lost[0] == lost[1] >= 0 and lost[0] % 2 == 0 else None


def _computes_in_float32(layer: keras.layers.Layer) -> bool:
    return bool(layer.compute_dtype == layer.variable_dtype)
