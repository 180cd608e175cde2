"""Ask of a Keras model what building and converting it both need: its sizes, its float32 form."""

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
"""Pixels that no margin eats up."""


def size_rule(model: keras.Model) -> SizeRule:
    """Return which heights and widths `model` takes, and by how much its answer is smaller.

    Strides, poolings and branches of every kind count.

    Raises:
        UnsupportedModel: no rule holds: answers at half the size, or shifted, or of no size.
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
        got=f"an answer of {model.output_shape}, or another size at every multiple up to 256",
        expected="a map as large as the image, or smaller by the same margin at every edge",
    )


def _unalike(model: keras.Model, multiple: int, remainder: int) -> tuple[int, int]:
    """Return two large sides that fit.

    They are so far apart that half the multiple does not suit both, and that an answer of half the
    size is not taken for one with a margin.
    """
    first = _LARGE // multiple * multiple + remainder
    return _sides(model, first, first + 3 * multiple)


def _sides(model: keras.Model, height: int, width: int) -> tuple[int, int]:
    """Return the sides to ask for, those that the model fixes in their place."""
    _, own_height, own_width, _ = model.input_shape
    return own_height or height, own_width or width


def _margin(model: keras.Model, sides: tuple[int, int]) -> int | None:
    """Return by how much the answer is smaller at each edge; None where there is no such number."""
    try:
        answer = model.compute_output_shape((1, *sides, model.input_shape[-1]))[1:3]
    except ValueError:  # a skip that does not fit what it is joined to
        return None
    lost = [side - own for side, own in zip(sides, answer, strict=True)]
    return lost[0] // 2 if lost[0] == lost[1] >= 0 and lost[0] % 2 == 0 else None


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
