"""Mirroring an image out to a size that a network takes."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from unetrt.sizes import SizeRule

__all__ = ["as_batch", "mirrored_to_fit", "mirrored_to_size"]

T = TypeVar("T", bound=np.generic)


def mirrored_to_size(image: NDArray[T], height: int, width: int, *, margin: int = 0) -> NDArray[T]:
    """Mirror [height, width, ...] out to at least the given size.

    It grows by `margin` at its upper and left edges, by the rest at the lower and right. The
    paper mirrors at the edges too (Ronneberger et al. 2015, section 2).
    """
    rows, columns = (
        (margin, max(0, wanted - own - margin))
        for own, wanted in zip(image.shape[:2], (height, width), strict=True)
    )
    if (rows, columns) == ((0, 0), (0, 0)):
        return image
    return np.pad(image, (rows, columns, *[(0, 0)] * (image.ndim - 2)), mode="symmetric")


def mirrored_to_fit(image: NDArray[T], sizes: SizeRule) -> NDArray[T]:
    """Mirror [height, width, ...] out until a network takes it and its answer covers it.

    The image's own pixels are [:height, :width] of the answer.
    """
    height, width = map(sizes.covering, image.shape[:2])
    return mirrored_to_size(image, height, width, margin=sizes.margin)


def as_batch(image: NDArray[Any], sizes: SizeRule) -> NDArray[np.float32]:
    """Return an image [height, width, channels] as a network takes it: float32, a batch of one.

    It is mirrored out to fit; what belongs to it in the answer is [0, :height, :width].
    """
    return mirrored_to_fit(image, sizes)[np.newaxis].astype(np.float32)
