"""A window of an image that is mirrored out beyond its edges, without mirroring it out."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ImageSource", "mirrored_window"]


class ImageSource(Protocol):
    """An image [height, width, channels] that gives slices: NumPy's, a memory map, Zarr's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, channels."""

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        """Return a part of it, all channels."""


def mirrored_window(
    image: ImageSource, top: int, left: int, height: int, width: int
) -> NDArray[Any]:
    """Return [height, width, channels] from (top, left) on, which may lie outside of the image.

    The same pixels as of `unetrt.padding.mirrored_to_size`; only those needed are read.
    """
    rows, columns = (
        _mirrored(np.arange(begin, begin + count), side)
        for begin, count, side in zip((top, left), (height, width), image.shape[:2], strict=True)
    )
    first = rows.min(), columns.min()
    read = np.asarray(image[first[0] : rows.max() + 1, first[1] : columns.max() + 1])
    if read.shape[:2] == (height, width):
        ahead = (rows[0] <= rows[-1], columns[0] <= columns[-1])
        if ahead == (True, True):  # inside of the image: nothing to gather
            return read
    return read[np.ix_(rows - first[0], columns - first[1])]


def _mirrored(places: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Return the place inside of the image that stands for each place: ... 1 0 0 1 2 2 1 ..."""
    turned = places % (2 * side)
    return np.where(turned < side, turned, 2 * side - 1 - turned)
