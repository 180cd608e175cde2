"""Hold a labelled set of images in three parts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import DataError
from unetrt.normalization import Normalization, PixelScale

__all__ = ["IGNORED", "Dataset", "Sample", "files_of", "normalized"]

IGNORED = 255
"""The label of pixels whose class is unknown: no loss and no metric counts them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold an image and its label.

    Attributes:
        name: of the file, and of the slice where there are several.
        image: pixels [height, width, channels], in the type and values of the file.
        label: class numbers, uint8 [height, width]; `IGNORED` where the class is unknown.
        instances: int32 [height, width], the number of the object at each pixel, 0 where there
            is none; None where objects are not told apart.
        group: the file it came from; all slices of a volume stay in one part of the set.

    Example:
        >>> sample = Sample("cell", np.zeros((48, 56, 1)), np.zeros((48, 56), np.uint8))
        >>> sample.label.shape
        (48, 56)
    """

    name: str
    image: NDArray[Any]
    label: NDArray[np.uint8]
    instances: NDArray[np.int32] | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Hold the samples of a data set: to learn from, to choose the best epoch by, to judge on.

    Attributes:
        name: of the data set.
        classes: their names by number; class 0 is the background.
        train: samples to learn from.
        val: samples to choose the best epoch by.
        test: samples to judge on.
        source: where it was read from: "brain" or a folder; None where it was made in memory.

    Raises:
        DataError: a part without samples, images of other channels together, or no foreground.

    Example:
        >>> from unetrt.data import load_dataset
        >>> data = load_dataset("cells")
        >>> data.classes, len(data.train), len(data.val), len(data.test)
        (('background', 'foreground'), 4, 1, 1)
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    source: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for part in ("train", "val", "test"):
            if not getattr(self, part):
                raise DataError(
                    f"Data set {self.name!r} has no images for {part}",
                    expected="at least one image each for train, val and test",
                )
        channels = {sample.image.shape[2] for sample in (*self.train, *self.val, *self.test)}
        if len(channels) > 1:
            raise DataError(
                f"The images of {self.name!r} differ in channels",
                got=" and ".join(map(str, sorted(channels))),
                expected="as many in all of them",
                hint="convert them to one kind",
            )
        if not any(_has_foreground(sample.label) for sample in self.train):
            raise DataError(
                f"No training image of {self.name!r} has any foreground",
                got="labels of background everywhere",
                expected="pixels of at least one other class",
            )

    @property
    def channels(self) -> int:
        """Return the channels of every image."""
        return int(self.train[0].image.shape[2])

    def normalized(self, normalization: Normalization | None) -> Dataset:
        """Return the set as a network takes it: float32 images, each file by its own statistics.

        The slices of a volume are normalised together. With None it is the set itself: such a
        network takes pixels as they are stored.

        Example:
            >>> from unetrt.data import load_dataset
            >>> sample = load_dataset("cells").normalized(Normalization()).train[0]
            >>> sample.image.dtype, abs(float(sample.image.mean())) < 0.1
            (dtype('float32'), True)
        """
        if normalization is None:
            return self
        train, val, test = (
            tuple(normalized(part, normalization)) for part in (self.train, self.val, self.test)
        )
        return replace(self, train=train, val=val, test=test)

    def pixel_statistics(self) -> tuple[float, float]:
        """Return the mean and the standard deviation of the training pixels.

        Raises:
            DataError: all pixels are equal.
        """
        count = sum(sample.image.size for sample in self.train)
        mean = sum(float(sample.image.sum(dtype=np.float64)) for sample in self.train) / count
        squares = sum(
            float(((sample.image.astype(np.float64) - mean) ** 2).sum()) for sample in self.train
        )
        if squares == 0:
            raise DataError(
                f"The training images of {self.name!r} are constant",
                got=f"every pixel equal to {mean:g}",
                expected="images with contrast",
            )
        return mean, math.sqrt(squares / count)


def files_of(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Return the samples of each file, in order: of a volume its slices, else one."""
    files: dict[str, list[Sample]] = {}
    for sample in samples:
        files.setdefault(sample.group or sample.name, []).append(sample)
    return files


def normalized(
    samples: Iterable[Sample],
    normalization: Normalization | None,
    *,
    among: Iterable[Sample] | None = None,
) -> Iterator[Sample]:
    """Yield samples as a network takes them, one after another; see `Dataset.normalized`.

    Args:
        samples: to normalise.
        normalization: of the network; None yields the samples themselves.
        among: samples whose files' pixels count, these and others; by default these alone.

    Example:
        >>> from unetrt.data import load_dataset
        >>> test = load_dataset("cells").test
        >>> [sample.image.dtype.name for sample in normalized(test, Normalization())]
        ['float32']
    """
    if normalization is None:
        yield from samples
        return
    samples = tuple(samples)
    files = files_of(samples if among is None else among)
    scales: dict[str, PixelScale] = {}
    for sample in samples:
        file = sample.group or sample.name
        if file not in scales:
            scales[file] = normalization.measure([page.image for page in files[file]])
        yield replace(sample, image=scales[file].apply(sample.image))


def _has_foreground(label: NDArray[np.uint8]) -> bool:
    return bool(((label > 0) & (label != IGNORED)).any())
