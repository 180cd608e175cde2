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
from unetrt.normalization import Normalization
from unetrt.sizes import SizeRule

from .crops import CropStream
from .history import Epoch, TrainResult
from .loop import Schedule, TrainingLoop, augmentation_strength, batches
from .losses import check_loss
from .run_folder import RunFolder, open_run
from .train_spec import TrainSpec
from .training_model import (
    copy_under,
    freeze_layers,
    fused_normalization,
    model_to_train,
    scope_of,
    strategy_for,
)

__all__ = ["fit"]

_ENDLESS = 1 << 40
"""Steps that Keras may take; the loop ends the training."""


def fit(
    model: keras.Model,
    data: Dataset,
    spec: TrainSpec | None = None,
    *,
    run: Path | None = None,
    resume: bool = False,
    restart: bool = False,
    made_with: Mapping[str, Any] | None = None,
    normalization: Normalization | None = None,
    on_epoch: Callable[[Epoch, bool], None] = lambda _epoch, _best: None,
    on_step: Callable[[str], None] = lambda _line: None,
    on_warning: Callable[[str], None] = lambda _line: None,
) -> TrainResult:
    """Train `model` in place.

    On a CPU the same seed and epochs give the same weights to the last bit; on a GPU some sums
    come in another order each time.

    Args:
        model: raw pixels [batch, height, width, channels] in, probabilities of classes out.
        data: images to learn from and, after each epoch, to validate on.
        spec: the training; None takes the defaults.
        run: folder for model.keras (the best epoch), history.csv, TensorBoard's logs/ and, until
            the end, a checkpoint.
        resume: resume the training in `run` that was interrupted, from its last epoch: with
            `epochs` it ends as it would have without.
        restart: begin again over an interrupted training in `run`.
        made_with: entries of model.keras.json besides the spec and the epoch.
        normalization: that the images of `data` have been through, for model.keras.json.
        on_epoch: called with each finished epoch and whether it is the best so far (the model
            then holds its weights).
        on_step: called with a line of text on how far the epoch is.
        on_warning: called with a sentence where a class is not being learnt.

    Raises:
        BadInput: the model does not fit the data or the spec, or has no layers of a pattern to
            freeze; an unfinished training lies in `run`, or the one to resume was of another spec,
            network or data.
        UnsupportedModel: no rule says which sizes the model takes.
        ArtifactError: there is nothing to resume, or its checkpoint is damaged.
        DataError: a class is never shown, or the loss becomes NaN.

    Example (minutes of work, so not run here):
        result = fit(model, load_dataset("cells"), TrainSpec(minutes=5), run=Path("run"))
        print(result.best.val_dice)
    """
    if resume and run is None:
        raise BadInput("Cannot resume a training", expected="the folder `run` that it left")
    _check_fit(model, data)
    _check_classes(data)
    check_loss(spec or TrainSpec(), data, model.output_shape[-1])
    sizes = size_rule(model)
    _check_sizes(model, data, sizes)
    asked = spec or TrainSpec()
    spec = _with_fitting_crop(asked, model, sizes)
    if spec.crop_size != asked.crop_size:
        tall, wide = spec.crop_size
        on_step(
            f"crops of {tall} x {wide} pixels: the network cannot take "
            f"{asked.crop_size[0]} x {asked.crop_size[1]}"
        )
    freeze_layers(model, spec.freeze)
    strategy = strategy_for(spec)
    writer = open_run(
        run,
        model,
        data,
        spec,
        sizes,
        resume=resume,
        restart=restart,
        made_with=made_with or {},
        normalization=normalization,
        on_step=on_step,
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
        strength=lambda number: augmentation_strength(schedule.done(number)),
    )
    schedule = Schedule(spec, stream.steps_per_epoch, spent_s=writer.spent_s)
    source = model if strategy is None else copy_under(model, strategy)
    freeze_layers(source, spec.freeze)
    with scope_of(strategy):
        trained, heads = model_to_train(source, spec, stream)

    def keep(epoch: Epoch, best: bool) -> None:  # noqa: FBT001  (as on_epoch)
        writer.keep(loop, epoch, best=best)
        on_epoch(epoch, best)

    loop = TrainingLoop(
        model,
        source,
        spec,
        data,
        schedule,
        stream.steps_per_epoch,
        on_kept=keep,
        on_finished=lambda: writer.checkpoint(loop, trained, schedule.elapsed_s),
        on_step=on_step,
        on_warning=on_warning,
        kept_in="" if run is None else str(RunFolder(run).model),
    )
    writer.start(loop, trained)
    if not loop.over:
        with fused_normalization(trained):
            trained.fit(
                batches(stream, spec, first=loop.step, heads=heads),
                steps_per_epoch=_ENDLESS,  # the loop says when an epoch is over
                callbacks=[loop],
                shuffle=False,
                verbose=0,
            )
    model.set_weights(loop.best_weights)
    writer.finish()
    return TrainResult(model, spec, tuple(loop.history))


def _check_fit(model: keras.Model, data: Dataset) -> None:
    """Raise unless the model has the channels and the classes of the data."""
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


def _check_classes(data: Dataset) -> None:
    """Raise DataError for a class that no training label shows: no network can learn it."""
    shown = {int(number) for sample in data.train for number in np.unique(sample.label)}
    missing = [name for k, name in enumerate(data.classes) if k and k not in shown]
    if missing:
        raise DataError(
            f"No training label of {data.name!r} shows {', '.join(missing)}",
            expected="pixels of every class",
            hint="number the classes without gaps, or put files that show it among those for "
            "training, in index.csv",
        )


def _check_sizes(model: keras.Model, data: Dataset, sizes: SizeRule) -> None:
    """Raise UnsupportedModel where an image to validate or test on does not fit the model."""
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


def _with_fitting_crop(spec: TrainSpec, model: keras.Model, sizes: SizeRule) -> TrainSpec:
    """Return the spec with its crop rounded up to an output size of the network."""
    height, width = (
        (sizes.covering(side) if own is None else own) - 2 * sizes.margin
        for own, side in zip(model.input_shape[1:3], spec.crop_size, strict=True)
    )
    return replace(spec, crop=(height, width))
