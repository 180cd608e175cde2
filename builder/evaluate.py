"""A Keras model as a function of images, and its Dice on labelled ones."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from unetrt.dice import DiceCounter
from unetrt.errors import UnsupportedModel
from unetrt.padding import as_batch

if TYPE_CHECKING:
    import keras

    from unetrt.data import Sample

__all__ = ["evaluate", "size_multiple"]

_MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def size_multiple(model: keras.Model) -> int:
    """Return the smallest power of two whose multiples `model` gives back at the size they came in.

    Asked of Keras' shape inference, so strides, poolings and branches of every kind count.

    Raises:
        UnsupportedModel: there is none up to 256, as for networks without padding.
    """
    _, height, width, channels = model.input_shape
    if height is not None or width is not None:
        return 1  # its one size is all that counts
    for multiple in _MULTIPLES:
        size = (3 * multiple, 5 * multiple)  # odd, so that nothing smaller passes
        with suppress(ValueError):  # a skip that does not fit what it is joined to
            if tuple(model.compute_output_shape((1, *size, channels)))[1:3] == size:
                return multiple
    raise UnsupportedModel(
        f"Cannot find a size that {model.name!r} gives back",
        got="another height or width at every multiple up to 256",
        expected="a map as large as the image",
    )


def evaluate(
    model: keras.Model, samples: Iterable[Sample], classes: tuple[str, ...]
) -> DiceCounter:
    """Return the Dice of `model` over whole images, one at a time."""
    multiple = size_multiple(model)
    dice = DiceCounter(classes)
    for sample in samples:
        height, width = sample.label.shape
        probabilities = model.predict_on_batch(as_batch(sample.image, multiple))
        dice.add(sample.label, probabilities[0, :height, :width].argmax(axis=-1))
    return dice
