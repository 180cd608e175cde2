"""Training a segmentation model on a data set, within a time one can plan with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from unetrt.data import Dataset
from unetrt.errors import BadInput, DataError

from .augment import CropStream
from .evaluate import evaluate
from .losses import CrossEntropyDice
from .spec import TrainSpec

__all__ = ["Epoch", "TrainResult", "train"]

_RISE = 0.05
"""Share of the training over which the learning rate rises; batch statistics settle meanwhile."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the learning curve."""

    epoch: int
    loss: float
    val_dice: float
    learning_rate: float
    elapsed_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A trained model, holding the weights of its best epoch, and how it got there."""

    model: keras.Model
    spec: TrainSpec
    history: tuple[Epoch, ...] = field(repr=False)

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation Dice."""
        return max(self.history, key=lambda epoch: epoch.val_dice)


def train(
    model: keras.Model,
    data: Dataset,
    spec: TrainSpec | None = None,
    *,
    on_epoch: Callable[[Epoch, bool], None] = lambda _epoch, _best: None,
    on_step: Callable[[str], None] = lambda _line: None,
) -> TrainResult:
    """Train `model` in place: AdamW, cross-entropy + Dice, a cosine down to zero.

    `on_epoch` gets each finished epoch and whether it is the best so far (the model then holds
    its weights); `on_step` gets a line on how far the epoch is.

    Raises:
        BadInput: the model has other channels or fewer classes than the data.
        DataError: the loss becomes NaN.
    """
    spec = spec or TrainSpec()
    _check_fit(model, data)
    keras.utils.set_random_seed(spec.seed)
    stream = CropStream(
        data.train,
        crop=spec.crop,
        batch=spec.batch,
        pixel_std=data.pixel_statistics()[1],
        seed=spec.seed,
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(spec.learning_rate, weight_decay=spec.weight_decay),
        loss=CrossEntropyDice(),
        jit_compile=False,  # on two CPU cores XLA made a step five times slower
    )
    course = _Course(spec, data, stream.steps_per_epoch, on_epoch, on_step)
    model.fit(
        _batches(stream, spec),
        epochs=spec.epochs or 1_000_000,  # by minutes, the course stops it
        steps_per_epoch=stream.steps_per_epoch,
        callbacks=[course],
        shuffle=False,
        verbose=0,
    )
    model.set_weights(course.best_weights)
    return TrainResult(model, spec, tuple(course.history))


class _Course(keras.callbacks.Callback):  # type: ignore[misc]
    """Sets the learning rate by how far training is, validates each epoch, keeps the best."""

    def __init__(
        self,
        spec: TrainSpec,
        data: Dataset,
        steps_per_epoch: int,
        on_epoch: Callable[[Epoch, bool], None],
        on_step: Callable[[str], None],
    ) -> None:
        super().__init__()
        self.history: list[Epoch] = []
        self.best_weights: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
        self._spec = spec
        self._data = data
        self._steps_per_epoch = steps_per_epoch
        self._on_epoch = on_epoch
        self._on_step = on_step
        self._step = 0
        self._began = time.monotonic()

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:  # noqa: ARG002
        done = self._done()
        rise = min(1.0, (done + 0.01) / _RISE)
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        self.model.optimizer.learning_rate = self._spec.learning_rate * rise * fall

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        self._step += 1
        if not math.isfinite(logs["loss"]):
            raise DataError(
                "Training diverged",
                got=f"a loss of {logs['loss']} at step {self._step}",
                expected="a finite loss",
                hint="lower the learning rate, or look for extreme pixel values",
            )
        self._on_step(
            f"epoch {len(self.history) + 1}, step {batch + 1}/{self._steps_per_epoch}, "
            f"loss {logs['loss']:.3f}, {self._remaining_s():.0f} s left"
        )
        if self._spec.epochs is None and self._done() >= 1:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        dice = evaluate(self.model, self._data.val, self._data.classes)
        finished = Epoch(
            epoch=epoch + 1,
            loss=float(logs["loss"]),
            val_dice=float(np.mean(list(dice.per_class.values()))),
            learning_rate=float(self.model.optimizer.learning_rate),
            elapsed_s=time.monotonic() - self._began,
            remaining_s=self._remaining_s(),
        )
        best = not self.history or finished.val_dice >= max(e.val_dice for e in self.history)
        self.history.append(finished)
        if best:
            self.best_weights = self.model.get_weights()
        self._on_epoch(finished, best)

    def _done(self) -> float:
        if self._spec.epochs is not None:
            return self._step / (self._spec.epochs * self._steps_per_epoch)
        return (time.monotonic() - self._began) / (60 * self._spec.minutes)

    def _remaining_s(self) -> float:
        elapsed = time.monotonic() - self._began
        if self._spec.epochs is None:
            return max(0.0, 60 * self._spec.minutes - elapsed)
        return elapsed * (1 / self._done() - 1) if self._step else math.inf


def _batches(stream: CropStream, spec: TrainSpec) -> tf.data.Dataset:
    """Draw batches while the network works.

    Not with from_generator: its op makes malloc trim the heap at every free.
    """
    shape = (spec.batch, spec.crop, spec.crop)

    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, classes = tf.numpy_function(stream.batch, [step], [tf.float32, tf.uint8])
        return tf.ensure_shape(pixels, (*shape, stream.channels)), tf.ensure_shape(classes, shape)

    return tf.data.Dataset.counter().map(batch).prefetch(2)


def _check_fit(model: keras.Model, data: Dataset) -> None:
    channels, n_classes = model.input_shape[-1], model.output_shape[-1]
    if channels != data.channels:
        raise BadInput(
            f"The model does not fit the data {data.name!r}",
            got=f"a model of {channels} channels",
            expected=f"{data.channels}, as the images have",
        )
    if n_classes != len(data.classes):
        raise BadInput(
            f"The model does not fit the data {data.name!r}",
            got=f"a model of {n_classes} classes",
            expected=f"{len(data.classes)} ({', '.join(data.classes)})",
        )
