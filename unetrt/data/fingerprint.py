"""Describe a data set in figures, from which a training is planned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetrt.data.dataset import IGNORED, Dataset, Sample

__all__ = ["Fingerprint", "Spread", "fingerprint"]

_MOST_PIXELS = 4_000_000
"""Pixels of all training images together that percentiles are taken of."""


class Spread(NamedTuple):
    """Hold the least, the median and the most of some numbers."""

    least: int
    median: int
    most: int

    def __str__(self) -> str:
        return (
            f"{self.least} to {self.most}, median {self.median}"
            if self.least < self.most
            else (str(self.least))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Hold the figures of a data set; all but `images` are of its training images.

    Attributes:
        name: of the data set.
        classes: their names, the background first.
        images: number of images to train, to validate and to test with.
        height: of the images, in pixels.
        width: of the images, in pixels.
        channels: of every image.
        dtype: NumPy's name of the pixels' type, or several, separated by commas.
        percentiles: of the pixels: the least, 0.5 %, the median, 99.5 % and the most.
        mean: of the pixels.
        std: standard deviation of the pixels.
        clipped_mean: mean of the pixels, clipped to the percentiles 0.5 and 99.5.
        clipped_std: standard deviation of the pixels, clipped likewise.
        shares: share of each class in the pixels that are not ignored, 0 to 1.
        ignored: share of the pixels that are ignored, 0 to 1.
        images_with: number of images that show each class.
        objects: number of objects, or None where labels do not tell objects apart.
        object_pixels: pixels of an object.
        constant: number of images that have but one pixel value.
    """

    name: str
    classes: tuple[str, ...]
    images: tuple[int, int, int]
    height: Spread
    width: Spread
    channels: int
    dtype: str
    percentiles: tuple[float, float, float, float, float]
    mean: float
    std: float
    clipped_mean: float
    clipped_std: float
    shares: dict[str, float]
    ignored: float
    images_with: dict[str, int]
    objects: int | None
    object_pixels: Spread | None
    constant: int

    def rows(self) -> list[tuple[str, str]]:
        """Return the figures as lines of a table: names and values."""
        train, val, test = self.images
        rows = [
            ("images", f"{train} train, {val} val, {test} test"),
            ("height", str(self.height)),
            ("width", str(self.width)),
            ("pixels", f"{self.dtype}, {self.channels} channel{'s' * (self.channels > 1)}"),
            ("pixels at 0, 0.5, 50, 99.5, 100 %", ", ".join(f"{p:g}" for p in self.percentiles)),
            ("mean and deviation of pixels", f"{self.mean:.4g}, {self.std:.4g}"),
            *(
                (
                    f"class {name}",
                    f"{share:.2%} of pixels, in {self.images_with[name]} of {train} images",
                )
                for name, share in self.shares.items()
            ),
        ]
        if self.objects is not None and self.object_pixels is not None:
            rows.append(("objects", f"{self.objects}, pixels {self.object_pixels}"))
        if self.ignored:
            rows.append(("ignored", f"{self.ignored:.2%} of pixels"))
        if self.constant:
            rows.append(("images of one pixel value", str(self.constant)))
        return rows


def fingerprint(data: Dataset) -> Fingerprint:
    """Measure a data set.

    Percentiles are of every n-th pixel where there are many; all else is of all pixels.

    Raises:
        DataError: all training pixels are equal.

    Example:
        >>> from unetrt.data import load_dataset
        >>> found = fingerprint(load_dataset("cells"))
        >>> found.images, found.height.median, found.dtype
        ((4, 1, 1), 48, 'uint8')
    """
    mean, std = data.pixel_statistics()
    least, most = _range(data.train)
    low, median, high = np.percentile(_some_pixels(data.train), (0.5, 50, 99.5))
    clipped_mean, clipped_std = _clipped(data.train, low, high)
    counts, images_with = _counted(data)
    known = counts[: len(data.classes)].sum()
    objects = [n for sample in data.train for n in _object_sizes(sample)]
    numbered = any(sample.instances is not None for sample in data.train)
    return Fingerprint(
        name=data.name,
        classes=data.classes,
        images=(len(data.train), len(data.val), len(data.test)),
        height=_spread([sample.label.shape[0] for sample in data.train]),
        width=_spread([sample.label.shape[1] for sample in data.train]),
        channels=data.channels,
        dtype=", ".join(sorted({sample.image.dtype.name for sample in data.train})),
        percentiles=(least, float(low), float(median), float(high), most),
        mean=mean,
        std=std,
        clipped_mean=clipped_mean,
        clipped_std=clipped_std,
        shares={name: float(counts[k] / known) for k, name in enumerate(data.classes)},
        ignored=float(counts[IGNORED] / counts.sum()),
        images_with={name: int(images_with[k]) for k, name in enumerate(data.classes)},
        objects=len(objects) if numbered else None,
        object_pixels=_spread(objects) if objects else None,
        constant=sum(bool(s.image.min() == s.image.max()) for s in data.train),
    )


def _range(samples: tuple[Sample, ...]) -> tuple[float, float]:
    return float(min(s.image.min() for s in samples)), float(max(s.image.max() for s in samples))


def _some_pixels(samples: tuple[Sample, ...]) -> NDArray[Any]:
    step = -(-sum(sample.image.size for sample in samples) // _MOST_PIXELS)
    return np.concatenate([sample.image.reshape(-1)[::step] for sample in samples])


def _clipped(samples: tuple[Sample, ...], low: float, high: float) -> tuple[float, float]:
    def pixels() -> Iterator[NDArray[np.float64]]:
        return (np.clip(sample.image.astype(np.float64), low, high) for sample in samples)

    count = sum(sample.image.size for sample in samples)
    mean = sum(float(image.sum()) for image in pixels()) / count
    return mean, (sum(float(((image - mean) ** 2).sum()) for image in pixels()) / count) ** 0.5


def _counted(data: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of pixels, and of images, that have each label."""
    counts = np.stack([np.bincount(s.label.ravel(), minlength=256) for s in data.train])
    return counts.sum(axis=0), (counts > 0).sum(axis=0)


def _object_sizes(sample: Sample) -> list[int]:
    if sample.instances is None:
        return []
    numbers, sizes = np.unique(sample.instances, return_counts=True)
    return [int(size) for number, size in zip(numbers, sizes, strict=True) if number > 0]


def _spread(numbers: list[int]) -> Spread:
    return Spread(min(numbers), int(np.median(numbers)), max(numbers))
