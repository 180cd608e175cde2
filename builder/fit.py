"""Fit a segmentation model to a data set, within a time one can plan with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetrt.data import Dataset
from unetrt.errors import BadInput, DataError, UnsupportedModel
from unetrt.keras_models import size_rule
from unetrt.sizes import SizeRule

from .crops import CropStream
from .history import Epoch, TrainResult
from .loop import Course, Schedule, batches
from .losses import check_loss
from .run_folder import RunFolder, record_in
from .train_spec import TrainSpec
from .training_model import copied_into, fused_normalization, scope_of, strategy_for, trained_model

__all__ = ["fit"]


def check_fit(model: keras.Model, data: Dataset) -> None:
    """See that a model has the channels and the classes of the data.

    Raises:
        UnsupportedModel: it is not one image in and one map out.
        BadInput: it has others.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1 or len(model.output_shape) != 4:  # noqa: PLR2004
        raise UnsupportedModel(
            f"Cannot train {model.name!r}",
            got=f"inputs {model.input_shape} and outputs {model.output_shape}",
            expected="one image [batch, height, width, channels] in, one map of classes out",
        )
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


def check_shown(data: Dataset) -> None:
    """Refuse a class that nobody can learn; that there is no foreground at all, Dataset says.

    Raises:
        DataError: no training label shows it.
    """
    shown = {int(number) for sample in data.train for number in np.unique(sample.label)}
    missing = [name for k, name in enumerate(data.classes) if k and k not in shown]
    if missing:
        raise DataError(
            f"No training label of {data.name!r} shows {', '.join(missing)}",
            expected="pixels of every class",
            hint="number the classes without gaps, or put files that show it among those for "
            "training, in index.csv",
        )


def check_sizes(model: keras.Model, data: Dataset, sizes: SizeRule) -> None:
    """See that a model of one size can be validated.

    Raises:
        UnsupportedModel: an image to validate or test on has another size.
    """
    taken = model.input_shape[1:3]
    for sample in (*data.val, *data.test):
        needed = [sizes.covering(side) for side in sample.label.shape]
        if any(own not in (None, side) for own, side in zip(taken, needed, strict=True)):
            raise UnsupportedModel(
                f"Cannot validate {model.name!r} on {sample.name!r}",
                got=f"a model for images of {' x '.join(map(str, taken))}",
                expected=f"one that takes {' x '.join(map(str, needed))}",
                hint="build it with None for height and width; the weights fit any size",
            )


def with_fitting_crop(spec: TrainSpec, model: keras.Model, sizes: SizeRule) -> TrainSpec:
    """Return the spec with the smallest crop that the network answers with, and not below its own.

    Raises:
        UnsupportedModel: the model takes images of one size, which is not square.
    """
    fixed = {side for side in model.input_shape[1:3] if side is not None}
    if len(fixed) > 1:
        raise UnsupportedModel(
            f"Cannot train {model.name!r} on square crops",
            got=f"a model for images of {' x '.join(map(str, model.input_shape[1:3]))}",
            expected="height and width free, or alike",
            hint="build it with None for both; the weights fit any size",
        )
    side = fixed.pop() if fixed else sizes.covering(spec.crop)
    return replace(spec, crop=side - 2 * sizes.margin)


_ENDLESS = 1_000_000
"""Epochs of a training by minutes; the course ends it."""


def fit(
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
