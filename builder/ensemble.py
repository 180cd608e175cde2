"""Average networks in one model."""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras import layers

__all__ = ["ensemble_of"]


def ensemble_of(models: Mapping[str, keras.Model]) -> keras.Model:
    """Return one model whose output is the mean of the models' probabilities.

    Args:
        models: by the names that they get as blocks of it; alike in inputs and outputs, at least
            two.

    Example:
        >>> first, second = (keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 1)])
        ...                  for _ in range(2))
        >>> [layer.name for layer in ensemble_of({"fold1": first, "fold2": second}).layers][1:]
        ['fold1', 'fold2', 'probabilities']
    """
    own = next(iter(models.values())).inputs[0]
    image = keras.Input(own.shape[1:], dtype=own.dtype, name="image")
    outputs = [
        keras.Model(model.inputs, model.outputs[0], name=name)(image)
        for name, model in models.items()
    ]
    return keras.Model(
        image, layers.Average(name="probabilities", dtype="float32")(outputs), name="ensemble"
    )
