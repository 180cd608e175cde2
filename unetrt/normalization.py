"""Bring the pixels of a file to one scale by the file's own statistics, in training and after.

Where scales differ from file to file, as those of MRI do, no constant in the graph fits them all:
each file is then shifted and scaled by its own pixels before they reach the network. A volume is
one file: its slices share their statistics. A network without a `Normalization` takes pixels as
they are stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import BadInput, DataError

__all__ = [
    "ImageSource",
    "Normalization",
    "NormalizedImage",
    "PixelScale",
    "common_normalization",
    "in_words",
]

_MOST_PIXELS = 1 << 20
"""Pixels of a file that its statistics are taken of: of more, every n-th row and column."""

_ROWS, _COLUMNS = 1024, 1 << 14
"""Rows and columns that are read at a time of an image that is not held."""


class ImageSource(Protocol):
    """Give slices of an image [height, width, channels]: an array, a memory map, a Zarr array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (height, width, channels)."""

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        """Return a part of the image, all channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalization:
    """Say how a network's pixels are normalised: (pixel - mean) / deviation, channel by channel.

    Mean and deviation are of one file's pixels, clipped to two of its percentiles so that a hot
    pixel or a piece of metal does not set them. The pixels themselves are not clipped to those:
    what is small and bright would vanish.

    Attributes:
        percentiles: that pixels are clipped to before they are averaged, 0 to 100.
        limit: normalised pixels are clipped to this many deviations, either way.

    Raises:
        BadInput: percentiles that do not rise, or a limit that is not positive.

    Example:
        >>> image = np.array([[[100.0], [300.0]]])
        >>> normalization = Normalization(percentiles=(0, 100))
        >>> normalization.measure([image]).apply(image).ravel().tolist()
        [-1.0, 1.0]
    """

    percentiles: tuple[float, float] = (0.5, 99.5)
    limit: float = 10.0

    def __post_init__(self) -> None:
        low, high = self.percentiles
        if not (0 <= low < high <= 100 and self.limit > 0):  # noqa: PLR2004
            raise BadInput(
                "Cannot normalise pixels",
                got=f"percentiles {low:g} and {high:g}, limit {self.limit:g}",
                expected="percentiles that rise from 0 to 100, and a positive limit",
            )

    def measure(self, pages: Sequence[ImageSource]) -> PixelScale:
        """Measure the pages of one file: an image is one, a volume has several.

        Of more than a million pixels every n-th row and column of all pages count, so that an
        image that is read part by part has the statistics that it has as a whole.

        Args:
            pages: [height, width, channels] each, all of as many channels.

        Raises:
            DataError: pixels that are not finite numbers.
            BadInput: no page, or pages that differ in channels.
        """
        counts = sorted({page.shape[2] for page in pages})
        if len(counts) != 1:
            raise BadInput(
                "Cannot normalise the pages of a file",
                got=f"{' and '.join(map(str, counts))} channels" if counts else "no page",
                expected="pages of as many channels",
            )
        pixels = sum(page.shape[0] * page.shape[1] for page in pages)
        step = max(1, math.ceil(math.sqrt(pixels / _MOST_PIXELS)))
        channels = np.concatenate([_some_pixels(page, step) for page in pages], axis=1)
        found = [self._mean_and_deviation(np.asarray(pixels, np.float64)) for pixels in channels]
        mean, deviation = np.array(found).T
        return PixelScale(mean, deviation, self.limit)

    def _mean_and_deviation(self, pixels: NDArray[np.float64]) -> tuple[float, float]:
        """Return those of one channel."""
        if not np.isfinite(pixels).all():
            raise DataError(
                "Cannot normalise these pixels", got="NaN or infinite ones", expected="numbers"
            )
        low, high = np.percentile(pixels, self.percentiles)
        if low == high:
            # Nearly all of a file may be one background; what little is not then sets the scale.
            low, high = pixels.min(), pixels.max()
        clipped = np.clip(pixels, low, high)
        deviation = float(clipped.std())
        # A constant file has no scale; what is left of it after its mean is nothing.
        return float(clipped.mean()), deviation if low < high and deviation > 0 else 1.0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"percentiles": list(self.percentiles), "limit": self.limit}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            BadInput, KeyError, TypeError, ValueError: it is not that.

        Example:
            >>> Normalization.from_json(Normalization().to_json()) == Normalization()
            True
        """
        low, high = fields["percentiles"]
        return cls(percentiles=(float(low), float(high)), limit=float(fields["limit"]))

    def __str__(self) -> str:
        low, high = self.percentiles
        return (
            "each file by its own mean and deviation "
            f"(of its pixels between the percentiles {low:g} and {high:g})"
        )


@dataclass(frozen=True, slots=True)
class PixelScale:
    """Hold one file's statistics.

    Attributes:
        mean: float64 [channels].
        deviation: float64 [channels], positive.
        limit: normalised pixels are clipped to this many deviations.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    limit: float

    def apply(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return pixels [..., channels] normalised, float32."""
        # In float64: a float32 pixel of 16,777,217 is another number.
        scaled = pixels - self.mean
        scaled /= self.deviation
        return np.clip(scaled, -self.limit, self.limit, out=scaled).astype(np.float32)


class NormalizedImage:
    """Give the normalised pixels of an image, part by part.

    Example:
        >>> image = np.arange(6.0).reshape(2, 3, 1)
        >>> normalized = NormalizedImage(image, Normalization().measure([image]))
        >>> normalized.shape, normalized[0:2, 1:2].dtype
        ((2, 3, 1), dtype('float32'))
    """

    def __init__(self, image: ImageSource, scale: PixelScale) -> None:
        self._image = image
        self._scale = scale

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (height, width, channels)."""
        return self._image.shape

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.float32]:
        """Return a part of the image, all channels."""
        return self._scale.apply(np.asarray(self._image[key]))


def common_normalization(networks: Mapping[str, Normalization | None]) -> Normalization | None:
    """Return the normalisation of networks that are given the same pixels.

    Args:
        networks: the normalisation of each, by its name.

    Raises:
        BadInput: they have not the same one.

    Example:
        >>> common_normalization({"a.onnx": Normalization(), "b.onnx": None})
        Traceback (most recent call last):
            ...
        unetrt.errors.BadInput: Networks that take pixels on different scales cannot be compared:
        got a.onnx: each file by its own mean and deviation (of its pixels between the percentiles
        0.5 and 99.5); b.onnx: none: pixels as they are stored, expected one normalisation; make
        them of the same model.
    """
    first, *others = networks.values()
    if any(other != first for other in others):
        raise BadInput(
            "Networks that take pixels on different scales cannot be compared",
            got="; ".join(f"{name}: {in_words(own)}" for name, own in networks.items()),
            expected="one normalisation",
            hint="make them of the same model",
        )
    return first


def in_words(normalization: Normalization | None) -> str:
    """Say how pixels are normalised, or that they are not."""
    return "none: pixels as they are stored" if normalization is None else str(normalization)


def _some_pixels(page: ImageSource, step: int) -> NDArray[Any]:
    """Return every n-th row and column, as [channels, pixels]."""
    height, width, channels = page.shape
    rows, columns = (most // step * step or step for most in (_ROWS, _COLUMNS))
    parts = []
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            read = page[top : min(top + rows, height), left : min(left + columns, width)]
            # A copy: a view would hold all that was read.
            parts.append(np.asarray(read)[::step, ::step].reshape(-1, channels).T.copy())
    return np.concatenate(parts, axis=1)
