"""Classes drawn over an image, for a person to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.data.dataset import IGNORED

__all__ = ["COLOURS", "overlay", "panels"]

COLOURS = np.array(
    [(0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0)],
    np.float32,
)
"""Of the classes in turn, the background first: Okabe and Ito's, told apart by all eyes."""

_OPACITY = 0.45


def overlay(image: NDArray[Any], label: NDArray[Any] | None = None) -> NDArray[np.uint8]:
    """Return the image [height, width, 1 or 3] as uint8 RGB, stretched, with its classes on it."""
    low, high = np.percentile(image, (0.5, 99.5))
    grey = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1) * 255
    rgb = np.broadcast_to(grey, (*image.shape[:2], 3)).astype(np.float32)
    if label is not None:
        known = (label > 0) & (label != IGNORED)
        shown = np.where(known, (label.astype(np.int64) - 1) % (len(COLOURS) - 1) + 1, 0)
        tinted = (1 - _OPACITY) * rgb + _OPACITY * COLOURS[shown]
        rgb = np.where(known[:, :, np.newaxis], tinted, rgb)
    return rgb.astype(np.uint8)


def panels(image: NDArray[Any], truth: NDArray[Any], prediction: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the image, its truth and its prediction side by side as uint8 RGB."""
    gap = np.full((image.shape[0], 4, 3), 255, np.uint8)
    return np.hstack([overlay(image), gap, overlay(image, truth), gap, overlay(image, prediction)])
