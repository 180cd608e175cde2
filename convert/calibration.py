"""Calibrate: feed real images to a network, and find the ranges of its activations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel
from unetrt.data import Dataset
from unetrt.data.dataset import normalized
from unetrt.errors import DataError
from unetrt.sizes import SizeRule, mirrored_to_fit, mirrored_to_size

from .activations import Activations
from .passes.quantize import LARGEST

__all__ = ["CalibrationData", "Histogram", "clips", "feeds_of"]

_BINS = 2048
_FIRST = 64
"""Number of the first of the bins' edges that may become a clip."""

_AT_ONCE = 1 << 20
"""Values counted at a time: counting needs several times their memory."""

_MOST_SIDE = 1024
"""Larger images are cut to their middle where the network's size is free: memory stays bounded."""

Item = TypeVar("Item")

Feed: TypeAlias = Mapping[str, NDArray[Any]]

CalibrationData: TypeAlias = Dataset | Iterable[NDArray[Any] | Feed]
"""A data set, whose training images are taken; images [height, width, channels] as stored, each a
file of its own; or, for a network of several inputs, mappings of input names to whole arrays."""


def feeds_of(model: OnnxModel, data: CalibrationData, most: int) -> list[Feed]:
    """Return at most `most` feeds for `model`, evenly drawn and checked.

    Images are normalised where the network wants that, mirrored out to a size that it takes, and
    cut to their middle where they are larger than a fixed size.

    Args:
        model: the network.
        data: at least one image or mapping.
        most: the largest number of feeds.

    Returns:
        For each, the arrays by input name, in the inputs' types, shapes and layouts.

    Raises:
        DataError: nothing in it, NaN or infinite values, another rank, type or number of channels
            than the network's.
        ShapeError: an array in a mapping that does not fit its input.

    >>> from pathlib import Path
    >>> model = OnnxModel.load(Path("model.onnx"))
    >>> [feed] = feeds_of(model, [np.zeros((20, 30, 1), np.uint8)], 8)
    >>> {name: (array.dtype.name, array.shape) for name, array in feed.items()}
    {'image': ('float32', (1, 20, 30, 1))}
    """
    feeds = [
        _checked_feed(model, item) if isinstance(item, Mapping) else _feed(model, item)
        for item in _drawn(model, data, most)
    ]
    for k, feed in enumerate(feeds):
        for name, array in feed.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DataError(
                    "Cannot calibrate with these images",
                    got=f"NaN or infinite values for {name!r} in number {k}",
                    expected="finite values",
                )
    return feeds


def clips(path: Path, feeds: Iterable[Feed], names: Iterable[str]) -> dict[str, float]:
    """Return the magnitudes at which to clip values inside a network; see `Histogram.clip`.

    Args:
        path: the float32 file.
        feeds: its inputs, one run after another.
        names: of the values.

    Raises:
        DataError: a value is not finite on these feeds; names it.

    >>> from pathlib import Path
    >>> ones = {"image": np.ones((1, 32, 32, 1), np.float32)}
    >>> list(clips(Path("model.onnx"), [ones], ["nchw", "pool"]))
    ['nchw', 'pool']
    """
    histograms: dict[str, Histogram] = defaultdict(Histogram)
    activations = Activations(path, frozenset(names))
    for feed in feeds:
        for name, array in activations.run(feed):
            if not np.isfinite(array).all():
                raise DataError(
                    "Cannot calibrate with these images",
                    got=f"NaN or infinite values at {name!r}, inside the network",
                    expected="images on which the float32 network gives numbers",
                )
            histograms[name].add(array)
    return {name: histogram.clip() for name, histogram in histograms.items()}


class Histogram:
    """Count magnitudes in equal bins, whose width doubles when a larger one comes.

    Exact zeros are not counted: int8 represents them exactly, and a ReLU makes many.

    >>> histogram = Histogram()
    >>> histogram.add(np.linspace(-1, 1, 10_001))
    >>> round(histogram.clip(), 2)
    1.0
    """

    def __init__(self) -> None:
        self.width = 0.0
        self.counts = np.zeros(_BINS, np.int64)

    def add(self, array: NDArray[Any]) -> None:
        """Count the magnitudes of a finite array of any shape."""
        flat = array.ravel()
        for start in range(0, flat.size, _AT_ONCE):
            self._add(flat[start : start + _AT_ONCE])

    def _add(self, part: NDArray[Any]) -> None:
        magnitudes = np.abs(part[part != 0], dtype=np.float64)
        if magnitudes.size == 0:
            return
        largest = float(magnitudes.max())
        if self.width == 0:
            self.width = largest / _BINS
        while largest > self.width * _BINS:
            self.counts = np.pad(self.counts.reshape(-1, 2).sum(axis=1), (0, _BINS // 2))
            self.width *= 2
        bins = np.minimum((magnitudes / self.width).astype(np.int64), _BINS - 1)
        self.counts += np.bincount(bins, minlength=_BINS)

    def clip(self) -> float:
        """Return the magnitude to clip at for the least mean squared error; 0 where all was zero.

        A wide range rounds everything coarsely, a narrow one cuts off the largest. The error of a
        value below the clip is uniform, step^2 / 12 squared; of one above, the part cut off.
        """
        edges = self.width * np.arange(1, _BINS + 1)
        middles = edges - self.width / 2
        counts = self.counts.astype(np.float64)
        below = counts.cumsum()
        # The squared error above each edge, summed over the bins there: from the tails' moments.
        tail = [
            (counts * middles**power)[::-1].cumsum()[::-1] - counts * middles**power
            for power in range(3)
        ]
        cut = tail[2] - 2 * edges * tail[1] + edges**2 * tail[0]
        error = below * (edges / LARGEST) ** 2 / 12 + cut
        return float(edges[_FIRST - 1 :][np.argmin(error[_FIRST - 1 :])])


def _drawn(model: OnnxModel, data: CalibrationData, most: int) -> list[NDArray[Any] | Feed]:
    """Return at most `most` images, on the scale that the network takes, or mappings."""
    if isinstance(data, Dataset):
        samples = normalized(_spread(data.train, most), model.normalization, among=data.train)
        return [sample.image for sample in samples]
    items = _spread(list(data), most)
    if model.normalization is None:
        return items
    return [
        item if isinstance(item, Mapping) else model.normalization.measure([item]).apply(item)
        for item in items
    ]


def _spread(given: Sequence[Item], most: int) -> list[Item]:
    """Return at most `most` items, evenly drawn."""
    if not given:
        raise DataError(
            "There are no calibration images", expected="at least one, as the network will see"
        )
    step = max(1.0, len(given) / most)
    return [given[int(k * step)] for k in range(min(most, len(given)))]


def _checked_feed(model: OnnxModel, feed: Feed) -> Feed:
    wanted = {spec.name: spec for spec in model.inputs}
    if feed.keys() != wanted.keys():
        raise DataError(
            f"The calibration data do not fit {model.path}",
            got=f"arrays for {', '.join(feed) or 'nothing'}",
            expected=f"arrays for {', '.join(wanted)}",
        )
    for name, spec in wanted.items():
        spec.check(feed[name].shape, feed[name].dtype.name)
    return feed


def _feed(model: OnnxModel, image: NDArray[Any]) -> Feed:
    if len(model.inputs) != 1 or not model.inputs[0].is_image:
        raise DataError(
            f"The calibration data do not fit {model.path}",
            got="images",
            expected="mappings of names to arrays, for "
            + ", ".join(f"{spec.name} {spec}" for spec in model.inputs),
        )
    spec = model.inputs[0]
    batch, channels = spec.shape[0], spec.channels
    if image.ndim != 3 or (isinstance(channels, int) and image.shape[2] != channels):  # noqa: PLR2004
        raise DataError(
            f"A calibration image does not fit {model.path}",
            got=f"shape {list(image.shape)}",
            expected=f"[height, width, {channels}]",
        )
    if spec.dtype != "float32" and not np.can_cast(image.dtype, spec.dtype):
        raise DataError(
            f"A calibration image does not fit {model.path}",
            got=image.dtype,
            expected=spec.dtype,
        )
    x = _sized(image, spec.sides(), model.sizes).astype(spec.dtype)[np.newaxis]
    x = np.repeat(x, batch, axis=0) if isinstance(batch, int) else x
    return {spec.name: np.ascontiguousarray(spec.from_nhwc(x))}


def _sized(
    image: NDArray[Any], sides: tuple[int | str, int | str], sizes: SizeRule
) -> NDArray[Any]:
    most = sizes.nearest(_MOST_SIDE)[0]
    image = mirrored_to_fit(image, sizes)
    fixed = [
        side if isinstance(side, int) else min(own, most)
        for side, own in zip(sides, image.shape[:2], strict=True)
    ]
    image = mirrored_to_size(image, *fixed)
    top, left = ((own - side) // 2 for own, side in zip(image.shape[:2], fixed, strict=True))
    return image[top : top + fixed[0], left : left + fixed[1]]
