"""How far the outlines of a class lie from where they should."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetrt.data import IGNORED

__all__ = ["SurfaceCounter", "hd95"]

_PERCENTILE = 95


def hd95(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the 95th percentile of the Hausdorff distance of two masks, in pixels.

    Of the distances from each outline to the other, both ways together, as nnU-Net reports it.
    SciPy measures them: the packages that offer the figure itself (surface-distance 0.1, MedPy
    0.5) lean on names that SciPy is about to drop, or bring SimpleITK along.

    Args:
        a: [height, width], not empty.
        b: likewise.
    """
    outlines = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    to_a, to_b = (ndimage.distance_transform_edt(~outline) for outline in outlines)
    return float(np.percentile(np.concatenate([to_b[outlines[0]], to_a[outlines[1]]]), _PERCENTILE))


class SurfaceCounter:
    """Collects HD95 image by image."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._distances: dict[str, list[float]] = {name: [] for name in classes[1:]}

    def add(self, truth: NDArray[Any], prediction: NDArray[Any]) -> dict[str, float]:
        """Measure one image: two [height, width] arrays of class numbers; return its HD95.

        A class that only one of them has is at no distance, and is left out.
        """
        known = truth != IGNORED
        found = {}
        for number, name in enumerate(self._classes):
            a, b = (truth == number) & known, (prediction == number) & known
            if number and a.any() and b.any():
                found[name] = hd95(a, b)
                self._distances[name].append(found[name])
        return found

    @property
    def hd95(self) -> dict[str, float | None]:
        """Mean over the images where truth and prediction both have the class; else None."""
        return {name: float(np.mean(d)) if d else None for name, d in self._distances.items()}
