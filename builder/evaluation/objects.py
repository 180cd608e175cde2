"""How many objects are found: the F1 score of objects, not of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["ObjectCounter"]

_IOU = 0.5
"""Above this an object matches at most one other, so no assignment has to be solved."""


class ObjectCounter:
    """Counts objects image by image: found, missed and made up."""

    def __init__(self) -> None:
        self.matched = self.true = self.found = 0

    def add(self, instances: NDArray[np.integer], foreground: NDArray[np.bool_]) -> None:
        """Count one image: numbered true objects and what is predicted to be any of them.

        A predicted object is what hangs together by its pixels' sides (scipy.ndimage.label).
        """
        predicted, found = ndimage.label(foreground)
        numbers, truth = np.unique(instances, return_inverse=True)
        truth = truth.reshape(instances.shape)
        true = len(numbers) - (0 in numbers)
        shared = _pairs(truth, predicted, len(numbers), found + 1)
        sizes_true, sizes_found = shared.sum(axis=1), shared.sum(axis=0)
        union = sizes_true[:, None] + sizes_found[None, :] - shared
        fits = shared > _IOU * union
        fits[numbers == 0] = False
        self.matched += int(fits[:, 1:].sum())
        self.true += true
        self.found += found

    @property
    def f1(self) -> float:
        """Twice the matched objects over all true and predicted ones; 1 where there are none."""
        total = self.true + self.found
        return 2 * self.matched / total if total else 1.0


def _pairs(a: NDArray[Any], b: NDArray[Any], rows: int, columns: int) -> NDArray[np.int64]:
    counted = np.bincount(
        a.ravel().astype(np.int64) * columns + b.ravel(), minlength=rows * columns
    )
    return counted.reshape(rows, columns)
