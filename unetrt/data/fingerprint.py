"""Describe a data set in figures, from which a training is planned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetrt.data.dataset import IGNORED, Dataset, Sample, files_of

__all__ = ["Fingerprint", "Levels", "Spread", "Symmetry", "fingerprint"]

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


class Levels(NamedTuple):
    """Hold the grey levels of a class: how they differ from file to file, and within one.

    Attributes:
        low: the mean level of its pixels that 5 % of the files lie below.
        high: that 5 % of the files lie above.
        within: standard deviation of its pixels in one file; the median of the files.
    """

    low: float
    high: float
    within: float

    @property
    def drift(self) -> float:
        """Return how many deviations of a file the files lie apart."""
        return (self.high - self.low) / self.within if self.within else 0.0


class Symmetry(NamedTuple):
    """Hold how alike labels are to the mean label of the others: correlations, -1 to 1.

    Where a class has its place, the mean label says where. Where it has none all are near 0.

    Attributes:
        as_is: with the mean label.
        mirrored: with the mean label mirrored left to right.
        flipped: with it upside down.
        turned: with it turned by a quarter; the lower of both ways.
    """

    as_is: float
    mirrored: float
    flipped: float
    turned: float


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
        files: number of files to train with; a volume has many images.
        channel_stds: standard deviation of the pixels of each channel.
        levels: of each class that more than one file shows, mean over the channels.
        symmetry: of the places of the classes; None where there is but one image.
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
    files: int
    channel_stds: tuple[float, ...]
    levels: dict[str, Levels]
    symmetry: Symmetry | None

    def rows(self) -> list[tuple[str, str]]:
        """Return the figures as lines of a table: names and values."""
        train, val, test = self.images
        volumes = f" of {self.files} files" if self.files < train else ""
        rows = [
            ("images", f"{train} train{volumes}, {val} val, {test} test"),
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
        rows += [
            (
                f"grey levels of {name}",
                f"{found.low:.3g} to {found.high:.3g} by file, +-{found.within:.3g} within one",
            )
            for name, found in self.levels.items()
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
        files=len(files_of(data.train)),
        channel_stds=_channel_stds(data.train),
        levels=_levels(data),
        symmetry=_symmetry(data),
    )


def _range(samples: tuple[Sample, ...]) -> tuple[float, float]:
    return float(min(s.image.min() for s in samples)), float(max(s.image.max() for s in samples))


def _some_pixels(samples: tuple[Sample, ...]) -> NDArray[Any]:
    step = -(-sum(sample.image.size for sample in samples) // _MOST_PIXELS)
    return np.concatenate([sample.image.reshape(-1)[::step] for sample in samples])


def _channel_stds(samples: tuple[Sample, ...]) -> tuple[float, ...]:
    step = -(-sum(sample.image.size for sample in samples) // _MOST_PIXELS)
    channels = samples[0].image.shape[2]
    pixels = np.concatenate([s.image.reshape(-1, channels)[::step] for s in samples])
    return tuple(float(std) for std in pixels.astype(np.float64).std(axis=0))


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


_FEWEST_PIXELS = 20
"""Pixels of a class in a file of which a mean is taken."""


def _levels(data: Dataset) -> dict[str, Levels]:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in data.classes}
    for pages in files_of(data.train).values():
        labels = np.concatenate([page.label.ravel() for page in pages])
        pixels = np.concatenate([page.image.mean(axis=2).ravel() for page in pages])
        for number, name in enumerate(data.classes):
            own = pixels[labels == number]
            if own.size >= _FEWEST_PIXELS:
                found[name].append((float(own.mean()), float(own.std())))
    levels = {}
    for name, files in found.items():
        if len(files) > 1:
            means, deviations = zip(*files, strict=True)
            low, high = np.percentile(means, (5, 95))
            levels[name] = Levels(float(low), float(high), float(np.median(deviations)))
    return levels


_GRID = 16
"""Side of the grid that labels are brought to, to be laid over each other."""

_MOST_LABELS = 500


def _symmetry(data: Dataset) -> Symmetry | None:
    """Compare each label with the mean of the others, as it is, mirrored and turned."""
    shown = [s.label for s in data.train if ((s.label > 0) & (s.label != IGNORED)).any()]
    shown = shown[:: -(-len(shown) // _MOST_LABELS)]
    if len(shown) < 2:  # noqa: PLR2004
        return None
    maps = np.stack([_coarse(label, len(data.classes)) for label in shown])
    total = maps.sum(axis=0)
    likeness = []
    for own in maps:
        others = (total - own) / (len(maps) - 1)
        views = (
            others,
            others[:, ::-1],
            others[::-1],
            np.rot90(others, 1),
            np.rot90(others, -1),
        )
        likeness.append([_correlation(own, view) for view in views])
    as_is, mirrored, flipped, *turned = np.mean(likeness, axis=0)
    return Symmetry(float(as_is), float(mirrored), float(flipped), float(min(turned)))


def _coarse(label: NDArray[np.uint8], n_classes: int) -> NDArray[np.float64]:
    """Return the share of each class but the background in the cells of a grid."""
    height, width = label.shape
    rows, columns = (np.linspace(0, side, _GRID + 1).astype(int) for side in (height, width))
    rows, columns = np.minimum(rows[:-1], height - 1), np.minimum(columns[:-1], width - 1)
    hot = (label[..., None] == np.arange(1, n_classes)).astype(np.float64)
    cells = np.add.reduceat(np.add.reduceat(hot, rows, axis=0), columns, axis=1)
    sizes = np.outer(
        *(np.maximum(1, np.diff([*at, n])) for at, n in ((rows, height), (columns, width)))
    )
    return np.asarray(cells / sizes[..., None])


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the correlation of two maps over the places, all classes together."""
    a, b = (x - x.mean(axis=(0, 1)) for x in (a, b))
    size = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / size if size else 0.0


def _object_sizes(sample: Sample) -> list[int]:
    if sample.instances is None:
        return []
    numbers, sizes = np.unique(sample.instances, return_counts=True)
    return [int(size) for number, size in zip(numbers, sizes, strict=True) if number > 0]


def _spread(numbers: list[int]) -> Spread:
    return Spread(min(numbers), int(np.median(numbers)), max(numbers))
