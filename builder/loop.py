"""Run the training loop: batches, learning rate, epochs, validation."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unetrt.data import Dataset, Sample
from unetrt.errors import DataError

from .crops import CropStream
from .evaluate import evaluate
from .history import Epoch, best_epoch
from .train_spec import TrainSpec
from .training_model import AuxiliaryHead

__all__ = ["Schedule", "TrainingLoop", "batches", "learning_rate", "validation_sample"]

_RISE = 0.05
"""Share of the training over which the learning rate rises, while batch statistics settle."""

_PLAIN = 0.4
"""Last share of a training over which augmentation fades."""

_FIRST_EPOCH, _EPOCH = 1 / 8, 1 / 10
"""Length of the first epoch, and the least of the others, as shares of the time for a training."""

_VALIDATION = 0.1
"""Most of the time that validations take, after the first."""

_VALIDATED_PIXELS = 1 << 22
"""Pixels that are validated on after each epoch."""

_LOST, _TELLING = 0.05, 1 / 3
"""Dice below which a class is not being learnt, and the share of a training after which that is
told."""

_MOST_SKIPPED = 30
"""Steps in a row that loss scaling may leave out: it halves its factor, 2^15, at each."""

_AT_ONCE = min(8, os.cpu_count() or 1)
"""Batches that are drawn at the same time."""

_AHEAD = 2
"""Batches that wait for the network besides those being drawn."""


class TrainingLoop(keras.callbacks.Callback):  # type: ignore[misc]
    """Set the learning rate, validate each epoch, keep the best weights, end the training.

    Not Keras' EarlyStopping and ModelCheckpoint: their state is lost with the process.

    Args:
        model: the model to validate.
        source: the model in training without auxiliary heads: see `validation_weights`.
        spec: the training.
        data: its validation images choose the best epoch.
        schedule: the share of the training that is done.
        steps_per_epoch: batches an epoch.
        on_kept: called with an epoch and whether it is the best, while `model` holds its weights.
        on_finished: called when an epoch is over and the weights are those to continue with.
        on_step: called with a line of text on how far the epoch is.
        on_warning: called with a sentence where a class is not being learnt.
        kept_in: file of the best epoch, for errors.

    Attributes:
        history: the epochs so far.
        best_weights: weights of the model in the best of them.
        step: steps taken.
    """

    def __init__(
        self,
        model: keras.Model,
        source: keras.Model,
        spec: TrainSpec,
        data: Dataset,
        schedule: Schedule,
        steps_per_epoch: int,
        *,
        on_kept: Callable[[Epoch, bool], None],
        on_finished: Callable[[], None],
        on_step: Callable[[str], None],
        on_warning: Callable[[str], None] = lambda _line: None,
        kept_in: str = "",
    ) -> None:
        super().__init__()
        self.history: list[Epoch] = []
        self.best_weights: list[NDArray[Any]] = []
        self.step = 0
        self._own = model
        self._source = source
        self._spec = spec
        self._data = data
        self._schedule = schedule
        self._steps_per_epoch = steps_per_epoch
        self._on_kept = on_kept
        self._on_finished = on_finished
        self._on_step = on_step
        self._on_warning = on_warning
        self._warned = False
        self._validated = validation_sample(data.val)
        self._kept_in = kept_in
        self._loss = math.nan
        self._rate = 0.0
        self._skipped = 0

    @property
    def over(self) -> bool:
        """Return whether training is at its end: of its epochs, its minutes or its patience.

        Never before an epoch: minutes may be over before a large network takes its first step.
        """
        if not self.history:
            return False
        if self._schedule.done(self.step) >= 1:
            return True
        if self._spec.patience is None:
            return False
        return len(self.history) - best_epoch(self.history).epoch >= self._spec.patience

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:  # noqa: ARG002
        """Set the learning rate."""
        self._rate = self._schedule.learning_rate(self.step)
        self.model.optimizer.learning_rate = self._rate

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:  # noqa: ARG002
        """Count the step and its loss; end the epoch, and the training, when it is time."""
        self.step += 1
        self._schedule.start()
        if math.isfinite(logs["loss"]):
            self._loss = logs["loss"]
            self._skipped = 0
        else:
            self._skip(logs["loss"])
        self._on_step(
            f"epoch {len(self.history) + 1}, {self._schedule.place(self.step)}, "
            f"loss {self._loss:.3f}, "
            f"{self._schedule.remaining_s(self.step):.0f} s left"
        )
        if self._schedule.ends_epoch(self.step):
            self._end_epoch()
            self.model.reset_metrics()  # the loss is a mean since then
            self.model.stop_training = self.over

    def _end_epoch(self) -> None:
        """Validate, keep the best weights, say where a class is not being learnt."""
        began = self._schedule.elapsed_s
        averaged = self._spec.ema is not None
        with validation_weights(self._own, self._source, self.model, averaged=averaged):
            metrics = evaluate(self._own, self._validated, self._data.classes)
            finished = Epoch(
                epoch=len(self.history) + 1,
                loss=float(self._loss),
                val_dice=float(np.mean(list(metrics.dice.values()))),
                learning_rate=self._rate,
                elapsed_s=self._schedule.elapsed_s,
                remaining_s=self._schedule.remaining_s(self.step),
            )
            self.history.append(finished)
            best = best_epoch(self.history) is finished
            if best:
                self.best_weights = self._own.get_weights()
            self._on_kept(finished, best)
        self._warn(metrics.dice)
        self._on_finished()
        self._schedule.plan_epoch(validation_s=self._schedule.elapsed_s - began)

    def _warn(self, dice: Mapping[str, float]) -> None:
        """Say which classes are not being learnt: once, after a third of the training, and last."""
        done = self._schedule.done(self.step)
        lost = [name for name, value in dice.items() if value < _LOST]
        if not lost or done < _TELLING or (self._warned and done < 1):
            return
        self._warned = True
        self._on_warning(
            f"{', '.join(lost)}: Dice below {_LOST:g} after {min(done, 1):.0%} of the training. "
            "Look at a label file and its overlay first: are these pixels what they should be? "
            "Then train longer, with larger crops, or more labelled images"
        )

    def _skip(self, loss: float) -> None:
        """Accept a step that loss scaling has left out; anything else has diverged."""
        self._skipped += 1
        scaled = isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer)
        if not scaled or self._skipped > _MOST_SKIPPED or not _finite(self.model):
            where = f"; the best epoch is kept in {self._kept_in}" if self._kept_in else ""
            raise DataError(
                "Training diverged",
                got=f"a loss of {loss} at step {self.step}",
                expected="a finite loss",
                hint="lower the learning rate, or look for extreme pixel values"
                + (where if self.history else ""),
            )
        self.model.reset_metrics()  # the mean over the epoch would stay what this step made it


class Schedule:
    """Measure a training by its steps, or by the clock where the spec gives minutes.

    Args:
        spec: its length, and the peak of the learning rate.
        steps_per_epoch: batches an epoch.
        spent_s: seconds that an interrupted run has already taken.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        spec: TrainSpec,
        steps_per_epoch: int,
        *,
        spent_s: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._steps_per_epoch = steps_per_epoch
        self._steps = None if spec.epochs is None else spec.epochs * steps_per_epoch
        self._now = now
        self._spent_s = spent_s
        self._began: float | None = None
        self._epoch_ends_s = spent_s + _FIRST_EPOCH * 60 * spec.minutes

    def start(self) -> None:
        """Start the clock, the first time: after the first step, which compiles the network."""
        if self._began is None:
            self._began = self._now() - self._spent_s

    @property
    def elapsed_s(self) -> float:
        """Return the seconds of training, without those between a kill and its resumption."""
        return self._spent_s if self._began is None else self._now() - self._began

    def ends_epoch(self, step: int) -> bool:
        """Return whether an epoch is over after `step` steps.

        It takes as many steps as a look at all images does where epochs are asked for; else a part
        of the time, so that validations neither come late nor take long.
        """
        if self._steps is not None:
            return step % self._steps_per_epoch == 0
        return self.elapsed_s >= min(self._epoch_ends_s, 60 * self._spec.minutes)

    def place(self, step: int) -> str:
        """Say which step of its epoch the last one was, or of the training where time ends it."""
        if self._steps is None:
            return f"step {step}"
        return f"step {(step - 1) % self._steps_per_epoch + 1}/{self._steps_per_epoch}"

    def plan_epoch(self, *, validation_s: float) -> None:
        """Set the end of the next epoch, by the time that the last validation took."""
        length = max(_EPOCH * 60 * self._spec.minutes, validation_s / _VALIDATION)
        self._epoch_ends_s = self.elapsed_s + length

    def done(self, step: int) -> float:
        """Return the share of the training that is done after `step` steps, 0 to 1 or more."""
        if self._steps is not None:
            return step / self._steps
        return self.elapsed_s / (60 * self._spec.minutes)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of the step after `step` steps."""
        return learning_rate(self._spec.learning_rate, self.done(step))

    def remaining_s(self, step: int) -> float:
        """Return the seconds left after `step` steps: by the clock, or by the pace so far."""
        if self._steps is None:
            return max(0.0, 60 * self._spec.minutes - self.elapsed_s)
        return self.elapsed_s * (self._steps / step - 1) if step else math.inf


def learning_rate(peak: float, done: float) -> float:
    """Return the rate after a share of a training, 0 to 1: a short rise, then half a cosine.

    Not one of Keras' schedules: those count steps, and a training of some minutes does not know
    how many it will have.

    Example:
        >>> [round(learning_rate(0.003, done), 5) for done in (0, 0.04, 0.5, 1)]
        [0.0006, 0.00299, 0.0015, 0.0]
    """
    rise = min(1.0, (done + 0.01) / _RISE)
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return peak * rise * fall


def augmentation_strength(done: float) -> float:
    """Return the share of its augmentation that a crop gets after a share of a training.

    All at first; over the last two fifths ever less: the network ends on images as they are.

    Example:
        >>> [round(augmentation_strength(done), 2) for done in (0, 0.6, 0.8, 1)]
        [1.0, 1.0, 0.5, 0.0]
    """
    return min(1.0, max(0.0, (1 - done) / _PLAIN))


def batches(
    stream: CropStream, spec: TrainSpec, *, first: int = 0, heads: Sequence[AuxiliaryHead] = ()
) -> tf.data.Dataset:
    """Return the batches from number `first` on, in order, without end.

    An element is (pixels, classes), with border weights for the loss "border". With `heads`,
    classes and weights are tuples: at full size, then at the scale of each auxiliary head.

    Not with from_generator: its op makes malloc trim the heap at every free.
    """
    border = spec.loss == "border"
    labels = (spec.batch, *stream.label_size)
    pixels = (spec.batch, *stream.image_size, stream.channels)
    shapes = [pixels, labels, labels] if border else [pixels, labels]
    types = [tf.float32, tf.uint8, tf.float32] if border else [tf.float32, tf.uint8]

    def draw(number: tf.Tensor) -> tuple[Any, ...]:
        # A batch is a function of its number alone; a stateful op would be drawn one at a time.
        arrays = tf.numpy_function(stream.batch, [number], types, stateful=False)
        x, *rest = (tf.ensure_shape(a, shape) for a, shape in zip(arrays, shapes, strict=True))
        if heads:
            rest = [(a, *(head.downsampled(a) for head in heads)) for a in rest]
        return (x, *rest)

    drawn = tf.data.Dataset.counter(start=first).map(
        draw, num_parallel_calls=_AT_ONCE, deterministic=True
    )
    return drawn.prefetch(_AHEAD)


@contextmanager
def validation_weights(
    model: keras.Model, source: keras.Model, trained: keras.Model, *, averaged: bool
) -> Iterator[None]:
    """Let `model` hold the weights to validate, while the block runs.

    The optimizer changes `trained`; `source` is the part of it that is a copy of `model`, or
    `model` itself. With `averaged`, weights are the optimizer's averages; batch statistics stay
    the same. Not Keras' SwapEMAWeights: it swaps by adding and subtracting, which rounds the
    weights that training continues with.
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


def validation_sample(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return what epochs are validated on: some samples, evenly drawn; of large ones the middle.

    Example:
        >>> large = Sample("a", np.zeros((9000, 50, 1)), np.zeros((9000, 50), np.uint8))
        >>> [sample.label.shape for sample in validation_sample([large] * 3)]
        [(2048, 50), (2048, 50), (2048, 50)]
    """
    cut = [_middle(sample, math.isqrt(_VALIDATED_PIXELS)) for sample in samples]
    step = max(1.0, sum(sample.label.size for sample in cut) / _VALIDATED_PIXELS)
    chosen: list[Sample] = []
    pixels = 0
    for k in range(max(1, int(len(cut) / step))):
        one = cut[int(k * step)]
        if pixels + one.label.size <= _VALIDATED_PIXELS or not chosen:
            chosen.append(one)
            pixels += one.label.size
    return tuple(chosen)


def _middle(sample: Sample, most: int) -> Sample:
    """Return the middle of a sample, at most `most` pixels high and wide."""
    rows, columns = (
        slice(max(0, side - most) // 2, max(0, side - most) // 2 + most)
        for side in sample.label.shape
    )
    return replace(
        sample,
        image=sample.image[rows, columns],
        label=sample.label[rows, columns],
        instances=None if sample.instances is None else sample.instances[rows, columns],
    )


def _finite(model: keras.Model) -> bool:
    return all(
        bool(np.isfinite(keras.ops.convert_to_numpy(weight)).all()) for weight in model.weights
    )
