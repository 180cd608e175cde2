"""Dice: how well two label maps overlap, 2 |A and B| / (|A| + |B|)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DiceCounter"]


class DiceCounter:
    """Counts overlaps image by image; Dice per class is pooled over all pixels seen."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
        self._per_image: list[float] = []

    def add(self, truth: NDArray[Any], prediction: NDArray[Any]) -> None:
        """Count one image: two [height, width] arrays of class numbers."""
        n = len(self.classes)
        pairs = truth.astype(np.int64) * n + prediction
        self._confusion += np.bincount(pairs.ravel(), minlength=n * n).reshape(n, n)
        self._per_image.append(_dice(truth > 0, prediction > 0))

    @property
    def per_class(self) -> dict[str, float]:
        """Dice of every class but the background; 1 for a class that neither side has."""
        total = self._confusion.sum(axis=0) + self._confusion.sum(axis=1)
        both = 2 * np.diag(self._confusion)
        return {
            name: float(both[k] / total[k]) if total[k] else 1.0
            for k, name in enumerate(self.classes)
            if k > 0
        }

    @property
    def per_image_foreground(self) -> float:
        """Mean over images of the Dice of everything that is not background."""
        return float(np.mean(self._per_image)) if self._per_image else float("nan")

    def to_json(self) -> dict[str, float]:
        """Return Dice per class and `per_image_foreground`."""
        return {**self.per_class, "per_image_foreground": self.per_image_foreground}


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 1.0
