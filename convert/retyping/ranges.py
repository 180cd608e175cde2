"""How far an int8 range should reach: histograms that grow, and where to clip them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Histogram"]

_BINS = 2048
_FIRST = 64
"""Of the bins' edges, the first to be thought of as a clip."""

_LEVELS = 127

_AT_ONCE = 1 << 20
"""Values counted at a time: what counting needs is several times their size."""


class Histogram:
    """Counts of magnitudes, in equal bins whose width doubles when a larger one comes.

    Exact zeros are not counted: int8 represents them exactly, and a ReLU makes many.
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

        A wide range rounds everything coarsely, a narrow one cuts off the largest. A value below
        the clip is off by a uniform rounding error of step^2 / 12, one above by what is cut off.
        """
        edges = self.width * np.arange(1, _BINS + 1)
        middles = edges - self.width / 2
        counts = self.counts.astype(np.float64)
        below = counts.cumsum()
        # What is cut off, squared, summed over the bins above: from the tails' moments.
        tail = [
            (counts * middles**power)[::-1].cumsum()[::-1] - counts * middles**power
            for power in range(3)
        ]
        cut = tail[2] - 2 * edges * tail[1] + edges**2 * tail[0]
        error = below * (edges / _LEVELS) ** 2 / 12 + cut
        return float(edges[_FIRST - 1 :][np.argmin(error[_FIRST - 1 :])])
