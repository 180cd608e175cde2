"""Whether a model can learn from some data, asked before a step is run."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from unetrt.data import Dataset
from unetrt.errors import BadInput, DataError, UnsupportedModel
from unetrt.sizes import SizeRule

from ..train_spec import TrainSpec

__all__ = ["check_fit", "check_shown", "check_sizes", "with_fitting_crop"]


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
