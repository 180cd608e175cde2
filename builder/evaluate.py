"""A Keras model as a function of images, and its Dice on labelled ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from unetrt.dice import DiceCounter
from unetrt.padding import mirrored_to_multiple

if TYPE_CHECKING:
    import keras

    from unetrt.data import Sample

__all__ = ["evaluate", "size_multiple"]


def size_multiple(model: keras.Model) -> int:
    """Return what height and width must be multiples of: the product of the pooling strides."""
    multiple = 1
    for layer in model.layers:
        if "Pooling2D" in type(layer).__name__ and "Global" not in type(layer).__name__:
            multiple *= max(layer.strides)
    return multiple


def evaluate(
    model: keras.Model, samples: Iterable[Sample], classes: tuple[str, ...]
) -> DiceCounter:
    """Return the Dice of `model` over whole images, one at a time."""
    multiple = size_multiple(model)
    dice = DiceCounter(classes)
    for sample in samples:
        height, width = sample.label.shape
        x = mirrored_to_multiple(sample.image, multiple)[np.newaxis].astype(np.float32)
        probabilities = model.predict_on_batch(x)
        dice.add(sample.label, probabilities[0, :height, :width].argmax(axis=-1))
    return dice
