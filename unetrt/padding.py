"""Mirroring an image out to a size that a network can halve."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_batch", "mirrored_to_multiple", "mirrored_to_size"]

T = TypeVar("T", bound=np.generic)


def mirrored_to_size(image: NDArray[T], height: int, width: int) -> NDArray[T]:
    """Mirror [height, width, ...] out at its lower and right edges to at least the given size.

    The paper mirrors at the edges too (Ronneberger et al. 2015, section 2).
    """
    grow = max(0, height - image.shape[0]), max(0, width - image.shape[1])
    if grow == (0, 0):
        return image
    return np.pad(
        image, ((0, grow[0]), (0, grow[1]), *[(0, 0)] * (image.ndim - 2)), mode="symmetric"
    )


def as_batch(image: NDArray[Any], multiple: int) -> NDArray[np.float32]:
    """Return an image [height, width, channels] as a network takes it: float32, a batch of one.

    It is mirrored out at its lower and right edges until both sides are multiples of `multiple`;
    what belongs to it in the answer is [0, :height, :width].
    """
    return mirrored_to_multiple(image, multiple)[np.newaxis].astype(np.float32)


def mirrored_to_multiple(image: NDArray[T], multiple: int) -> NDArray[T]:
    """Mirror [height, width, ...] out until both sides are multiples of `multiple`."""
    height, width = (-(-side // multiple) * multiple for side in image.shape[:2])
    return mirrored_to_size(image, height, width)
