"""Share the files of a data set out into cross-validation folds, and average their networks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from unetrt import vendor
from unetrt.data import Dataset, Sample
from unetrt.data.dataset import files_of
from unetrt.errors import BadInput, DataError

from .train_spec import TrainSpec

if TYPE_CHECKING:
    import keras

__all__ = ["Fold", "ensemble_of", "folds_of"]

_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Fold:
    """Hold one of the trainings of a cross-validation.

    Attributes:
        number: from 1.
        count: of all folds.
        data: the set with the fold's files for validation, all others for training, and the
            same files for testing.
    """

    number: int
    count: int
    data: Dataset

    @property
    def name(self) -> str:
        """Return its name: that of its folder, and of its network in the ensemble."""
        return f"fold{self.number}"

    def training(self, whole: TrainSpec) -> TrainSpec:
        """Return its share of a training: of the minutes, but all of the epochs; its own seed.

        Example:
            >>> from unetrt.data import load_dataset
            >>> fold = folds_of(load_dataset("cells"), 5)[1]
            >>> fold.training(TrainSpec(minutes=10)).minutes, fold.training(TrainSpec()).seed
            (2.0, 1)
        """
        return replace(whole, minutes=whole.minutes / self.count, seed=whole.seed + self.number - 1)


def folds_of(data: Dataset, count: int) -> tuple[Fold, ...]:
    """Share out the files for training and validation, drawn by name, the same each time.

    All slices of a volume stay together. Files for testing stay for testing.

    Raises:
        BadInput: fewer than two folds, or more than files.
        DataError: without the files of a fold, no training label shows a class.

    Example:
        >>> from unetrt.data import load_dataset
        >>> [len(fold.data.val) for fold in folds_of(load_dataset("cells"), 3)]
        [2, 2, 1]
    """
    files = files_of((*data.train, *data.val))
    if not _FEWEST <= count <= len(files):
        raise BadInput(
            f"Cannot make {count} folds of {data.name!r}",
            got=f"{len(files)} files for training and validation",
            expected=f"{_FEWEST} to {len(files)} folds",
        )
    drawn = sorted(files, key=lambda name: hashlib.sha256(name.encode()).digest())
    held_out = [set(drawn[first::count]) for first in range(count)]
    _check_classes(data, files, held_out)
    return tuple(
        Fold(number, count, _split(data, files, kept)) for number, kept in enumerate(held_out, 1)
    )


def ensemble_of(models: Mapping[str, keras.Model]) -> keras.Model:
    """Return one model whose output is the mean of the models' probabilities.

    Args:
        models: by the names that they get as blocks of it; alike in inputs and outputs, at least
            two.

    Example:
        >>> import keras
        >>> from keras import layers
        >>> first, second = (keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 1)])
        ...                  for _ in range(2))
        >>> [layer.name for layer in ensemble_of({"fold1": first, "fold2": second}).layers][1:]
        ['fold1', 'fold2', 'probabilities']
    """
    keras = vendor.keras()
    own = next(iter(models.values())).inputs[0]
    image = keras.Input(own.shape[1:], dtype=own.dtype, name="image")
    outputs = [
        keras.Model(model.inputs, model.outputs[0], name=name)(image)
        for name, model in models.items()
    ]
    mean = keras.layers.Average(name="probabilities", dtype="float32")(outputs)
    return keras.Model(image, mean, name="ensemble")


def _split(data: Dataset, files: dict[str, list[Sample]], held_out: set[str]) -> Dataset:
    def samples(*, held: bool) -> Iterator[Sample]:
        for name, pages in files.items():
            if (name in held_out) == held:
                yield from pages

    return replace(data, train=tuple(samples(held=False)), val=tuple(samples(held=True)))


def _check_classes(data: Dataset, files: dict[str, list[Sample]], held_out: list[set[str]]) -> None:
    """Raise now what would else be raised when the fold's turn has come."""
    shown = {
        name: {int(k) for page in pages for k in np.unique(page.label)}
        for name, pages in files.items()
    }
    for number, kept in enumerate(held_out, 1):
        left = set().union(*(shown[name] for name in files if name not in kept))
        missing = [name for k, name in enumerate(data.classes) if k and k not in left]
        if missing:
            raise DataError(
                f"Fold {number} of {data.name!r} has no training label of {', '.join(missing)}",
                got=f"it only in {', '.join(sorted(kept))}",
                expected="every class in several files",
            )
