"""Measure the overlap of two label maps: Dice, intersection over union, precision, recall.

Dice is 2 |A and B| / (|A| + |B|); of a class that neither map has it is 1. Pixels that the truth
labels 255 are not counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.data import IGNORED

__all__ = ["OverlapCounter"]

Counts = NDArray[np.int64]


class OverlapCounter:
    """Count pixels image by image; figures per class are pooled over all of them.

    Args:
        classes: names of the labels' numbers, the background first.

    >>> counter = OverlapCounter(("background", "cell"))
    >>> counter.add(np.array([[0, 1, 1, 255]]), np.array([[0, 1, 0, 1]]))
    >>> counter.precision, counter.recall, round(counter.dice["cell"], 3)
    ({'cell': 1.0}, {'cell': 0.5}, 0.667)
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
        self._foreground: list[float] = []

    def add(self, truth: NDArray[Any], prediction: NDArray[Any]) -> None:
        """Count one image: two [height, width] arrays of class numbers."""
        n = len(self.classes)
        known = truth != IGNORED
        pairs = truth[known].astype(np.int64) * n + prediction[known]
        confusion = np.bincount(pairs, minlength=n * n).reshape(n, n)
        self._confusion += confusion
        both, true, found = confusion[1:, 1:].sum(), confusion[1:].sum(), confusion[:, 1:].sum()
        self._foreground.append(float(_share(2 * both, true + found)))

    def join(self, other: OverlapCounter) -> None:
        """Count the images of another counter of the same classes too."""
        self._confusion += other._confusion
        self._foreground += other._foreground

    @property
    def dice(self) -> dict[str, float]:
        """Return the Dice of every class but the background."""
        both, true, found = self._counts
        return self._named(_share(2 * both, true + found))

    @property
    def iou(self) -> dict[str, float]:
        """Return the intersection over union of every class but the background."""
        both, true, found = self._counts
        return self._named(_share(both, true + found - both))

    @property
    def precision(self) -> dict[str, float]:
        """Return the share of predicted pixels that are right, by class; 0 of one missed."""
        both, true, found = self._counts
        return self._named(_share(both, found, unless=true))

    @property
    def recall(self) -> dict[str, float]:
        """Return the share of true pixels that are found, by class; 0 of one invented."""
        both, true, found = self._counts
        return self._named(_share(both, true, unless=found))

    @property
    def per_image_foreground(self) -> float:
        """Return the mean over images of the Dice of all but the background; NaN without images."""
        return float(np.mean(self._foreground)) if self._foreground else float("nan")

    def to_json(self) -> dict[str, float]:
        """Return Dice per class and `per_image_foreground`."""
        return {**self.dice, "per_image_foreground": self.per_image_foreground}

    @property
    def _counts(self) -> tuple[Counts, Counts, Counts]:
        """Return of each class the pixels that both have, that the truth has, that were found."""
        return np.diag(self._confusion), self._confusion.sum(axis=1), self._confusion.sum(axis=0)

    def _named(self, shares: NDArray[np.float64]) -> dict[str, float]:
        return {name: float(shares[k]) for k, name in enumerate(self.classes) if k > 0}


def _share(part: Any, whole: Any, unless: Any = 0) -> NDArray[np.float64]:
    """Return part / whole; of nothing, 1, but 0 where `unless` counts something."""
    of_nothing = np.where(np.asarray(unless) > 0, 0.0, 1.0)
    whole = np.asarray(whole)
    return np.where(whole > 0, part / np.maximum(whole, 1), of_nothing)
