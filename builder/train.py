"""Training a segmentation model on a data set, within a time one can plan with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from unetrt.data import Dataset
from unetrt.errors import BadInput
from unetrt.keras_models import size_rule

from .crops.stream import CropStream
from .train_spec import TrainSpec
from .training.course import Course
from .training.distribution import copied_into, scope_of, strategy_for
from .training.fused_normalization import fused_normalization
from .training.history import Epoch, best_epoch
from .training.losses import check_loss
from .training.pipeline import batches
from .training.record import record_in
from .training.run_folder import RunFolder
from .training.schedule import Schedule
from .training.trained import trained_model
from .training.validation import check_fit, check_shown, check_sizes, with_fitting_crop

__all__ = ["TrainResult", "train"]

_ENDLESS = 1_000_000
"""Epochs of a training by minutes; the course ends it."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A trained model, holding the weights of its best epoch, and how it got there.

    Attributes:
        spec: as given, its crop rounded up to what the network takes.
    """

    model: keras.Model
    spec: TrainSpec
    history: tuple[Epoch, ...] = field(repr=False)

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation Dice."""
        return best_epoch(self.history)


def train(
    model: keras.Model,
    data: Dataset,
    spec: TrainSpec | None = None,
    *,
    run: Path | None = None,
    resume: bool = False,
    made_with: Mapping[str, Any] | None = None,
    on_epoch: Callable[[Epoch, bool], None] = lambda _epoch, _best: None,
    on_step: Callable[[str], None] = lambda _line: None,
) -> TrainResult:
    """Train `model` in place.

    On a CPU the same seed and epochs give the same weights to the last bit; on a GPU some sums
    come in another order each time.

    Args:
        model: raw pixels [batch, height, width, channels] in, probabilities of classes out.
        data: what to learn from and, after each epoch, to validate on.
        spec: how.
        run: folder for model.keras (the best epoch), history.csv, TensorBoard's logs/ and, until
            the end, a checkpoint.
        resume: go on with the training in `run` that was interrupted, from its last epoch: with
            `epochs` it ends as it would have without.
        made_with: what model.keras.json shall say besides the spec and the epoch.
        on_epoch: gets each finished epoch and whether it is the best so far (the model then
            holds its weights).
        on_step: gets a line on how far the epoch is.

    Raises:
        BadInput: the model does not fit the data or the spec; an unfinished training lies in
            `run`, or the one to resume was of another spec, network or data.
        UnsupportedModel: no rule says which sizes the model takes.
        ArtifactError: there is nothing to resume, or its checkpoint is damaged.
        DataError: a class is never shown, or the loss becomes NaN.
    """
    if resume and run is None:
        raise BadInput("Cannot resume a training", expected="the folder `run` that it left")
    check_fit(model, data)
    check_shown(data)
    check_loss(spec or TrainSpec(), data, model.output_shape[-1])
    sizes = size_rule(model)
    check_sizes(model, data, sizes)
    asked = spec or TrainSpec()
    spec = with_fitting_crop(asked, model, sizes)
    if spec.crop != asked.crop:
        on_step(f"crops of {spec.crop} pixels, not {asked.crop}, which the network cannot take")
    strategy = strategy_for(spec)
    record = record_in(
        run, model, data, spec, sizes, resume=resume, made_with=made_with or {}, on_step=on_step
    )
    keras.utils.set_random_seed(spec.seed)
    stream = CropStream(
        data.train,
        crop=spec.crop,
        batch=spec.batch,
        sizes=sizes,
        pixel_std=data.pixel_statistics()[1],
        seed=spec.seed,
        augmentation=spec.augmentation,
        border=spec.loss == "border",
    )
    source = model if strategy is None else copied_into(model, strategy)
    with scope_of(strategy):
        trained, scales = trained_model(source, spec, stream)
    schedule = Schedule(spec, stream.steps_per_epoch, spent_s=record.spent_s)

    def keep(epoch: Epoch, best: bool) -> None:  # noqa: FBT001  (as on_epoch)
        record.keep(course, epoch, best=best)
        on_epoch(epoch, best)

    course = Course(
        model,
        source,
        spec,
        data,
        schedule,
        stream.steps_per_epoch,
        on_kept=keep,
        on_finished=lambda: record.checkpoint(course, trained, schedule.elapsed_s),
        on_step=on_step,
        kept_in="" if run is None else str(RunFolder(run).model),
    )
    record.start(course, trained)
    if not course.over:
        with fused_normalization(trained):
            trained.fit(
                batches(stream, spec, first=course.step, scales=scales),
                initial_epoch=len(course.history),
                epochs=spec.epochs or _ENDLESS,
                steps_per_epoch=stream.steps_per_epoch,
                callbacks=[course],
                shuffle=False,
                verbose=0,
            )
    model.set_weights(course.best_weights)
    record.finish()
    return TrainResult(model, spec, tuple(course.history))
