"""A labelled set of images in three parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import DataError

__all__ = ["IGNORED", "Dataset", "Sample"]

IGNORED = 255
"""The label of pixels that nobody learns from or is judged by."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image [height, width, channels], as stored, and its classes uint8 [height, width].

    Attributes:
        name: of the file, and of the slice where there are several.
        image: pixels.
        label: class numbers, `IGNORED` where nobody knows.
        instances: int32 [height, width], the number of the object at each pixel, 0 where there
            is none; None where objects are not told apart.
        group: what must stay in one part of the set: the volume a slice came from.
    """

    name: str
    image: NDArray[Any]
    label: NDArray[np.uint8]
    instances: NDArray[np.int32] | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples to learn from, to choose by, and to judge on; class 0 is the background."""

    name: str
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]

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
                expected="all grey or all RGB",
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
        """Channels of every image."""
        return int(self.train[0].image.shape[2])

    def pixel_statistics(self) -> tuple[float, float]:
        """Return mean and standard deviation of the training pixels.

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


def _has_foreground(label: NDArray[np.uint8]) -> bool:
    return bool(((label > 0) & (label != IGNORED)).any())
