"""Training on all devices at once: each takes a share of every batch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import keras
import tensorflow as tf

from unetrt.errors import BadInput

from ..train_spec import TrainSpec

__all__ = ["SharedLoss", "copied_into", "scope_of", "strategy_for"]


def strategy_for(spec: TrainSpec) -> tf.distribute.Strategy | None:
    """Return how training is spread: over all GPUs, without any over all logical CPU devices.

    None where there is one device, or one is asked for.

    Raises:
        BadInput: the batch cannot be shared out evenly.
    """
    if spec.devices == "one":
        return None
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    count = len(devices)
    if count == 1:
        return None
    if spec.batch % count:
        below = spec.batch // count * count
        raise BadInput(
            f"Cannot share a batch among {count} devices",
            got=f"batch {spec.batch}",
            expected=" or ".join(str(batch) for batch in (below, below + count) if batch),
        )
    return _mirrored(tuple(device.name for device in devices))


@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """Return one strategy for the life of the process.

    A second one would number its collective ops from the same start as the first, whose ops
    TensorFlow then finds under those numbers.
    """
    return tf.distribute.MirroredStrategy(devices)


def scope_of(strategy: tf.distribute.Strategy | None) -> AbstractContextManager[object]:
    """Return the context in which what is trained must be made."""
    return nullcontext() if strategy is None else strategy.scope()


def copied_into(model: keras.Model, strategy: tf.distribute.Strategy) -> keras.Model:
    """Return a copy of `model` with a replica on each device."""
    with strategy.scope():
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
    return copy


class SharedLoss(keras.losses.Loss):  # type: ignore[misc]
    """A loss of each device's share of a batch, such that their sum is a mean.

    Keras divides by the devices what has a value per pixel, but not one number for the batch, as
    the Dice is: gradients would grow with the devices.
    """

    def __init__(self, loss: keras.losses.Loss, devices: int) -> None:
        super().__init__(name=loss.name, reduction=loss.reduction)
        self._loss = loss
        self._devices = devices

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss, divided where Keras will not."""
        values = self._loss.call(y_true, y_pred)
        return values if values.shape.rank else values / self._devices
