"""Which weights are judged and kept: the averages, where the optimizer keeps some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

__all__ = ["judged"]


@contextmanager
def judged(
    model: keras.Model, source: keras.Model, trained: keras.Model, *, averaged: bool
) -> Iterator[None]:
    """Let `model` hold the weights that are judged, while the block runs.

    `trained` is what the optimizer changes, `source` the part of it that is a copy of `model`, or
    `model` itself. With `averaged`, weights are the optimizer's averages; batch statistics are
    as they are. Not Keras' SwapEMAWeights: it swaps by adding and subtracting, which rounds the
    weights that training goes on with.
    """
    weights = trained.trainable_variables
    raw = [keras.ops.convert_to_numpy(weight) for weight in weights] if averaged else []
    if averaged:
        trained.optimizer.finalize_variable_values(weights)
    try:
        if source is not model:
            model.set_weights(source.get_weights())
        yield
    finally:
        for weight, value in zip(weights, raw, strict=False):  # none, unless averaged
            weight.assign(value)
