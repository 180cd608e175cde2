"""Turn images as their orientation tag says: EXIF's in JPEG, PNG and others, TIFF's own.

Cameras store pixels as the sensor lay and say in tag 274 how to look at them (Exif 2.32, 4.6.4).
"""

from __future__ import annotations

import struct
from io import SEEK_CUR
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from PIL import Image

__all__ = ["ORIENTATION_TAG", "UPRIGHT", "Orientation", "png_orientation"]

ORIENTATION_TAG = 274
"""The tag's number, in EXIF and in TIFF."""


class Orientation(NamedTuple):
    """Say how stored pixels become the picture: turned over the diagonal first, then flipped.

    Attributes:
        transposed: rows are stored as columns.
        flips_rows: the picture's first row is the last.
        flips_columns: the picture's first column is the last.

    Example:
        >>> import numpy as np
        >>> Orientation.of(6)(np.array([[1, 2], [3, 4]])).tolist()
        [[3, 1], [4, 2]]
    """

    transposed: bool = False
    flips_rows: bool = False
    flips_columns: bool = False

    @classmethod
    def of(cls, tag: object) -> Orientation:
        """Return what the tag's value, 1 to 8, stands for; pixels as stored for any other."""
        if not isinstance(tag, int) or not 1 <= tag <= len(_MEANINGS):
            return UPRIGHT
        return _MEANINGS[tag - 1]

    def __call__(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return the picture [height, width, ...] of stored pixels; both may share memory."""
        picture = stored.swapaxes(0, 1) if self.transposed else stored
        return picture[:: -1 if self.flips_rows else 1, :: -1 if self.flips_columns else 1]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width of the picture of so many stored rows and columns."""
        return (width, height) if self.transposed else (height, width)

    def stored(self, key: tuple[slice, slice], height: int, width: int) -> tuple[slice, slice]:
        """Return where a part of a picture of this height and width lies in what is stored."""
        rows = _part(key[0], height, flipped=self.flips_rows)
        columns = _part(key[1], width, flipped=self.flips_columns)
        return (columns, rows) if self.transposed else (rows, columns)


UPRIGHT = Orientation()
"""Pixels are stored as they are looked at."""

_MEANINGS = (
    UPRIGHT,
    Orientation(flips_columns=True),
    Orientation(flips_rows=True, flips_columns=True),
    Orientation(flips_rows=True),
    Orientation(transposed=True),
    Orientation(transposed=True, flips_columns=True),
    Orientation(transposed=True, flips_rows=True, flips_columns=True),
    Orientation(transposed=True, flips_rows=True),
)


def _part(part: slice, size: int, *, flipped: bool) -> slice:
    start, stop, _ = part.indices(size)
    return slice(size - stop, size - start) if flipped else slice(start, stop)


def png_orientation(path: Path) -> Orientation:
    """Return the orientation in a PNG's eXIf chunk, without a look at its pixels."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:  # noqa: PLR2004
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                exif = Image.Exif()
                exif.load(file.read(length))
                return Orientation.of(exif.get(ORIENTATION_TAG))
            file.seek(length + 4, SEEK_CUR)
    return UPRIGHT
