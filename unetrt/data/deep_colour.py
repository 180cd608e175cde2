"""Images of several channels and sixteen bits, of which Pillow keeps the upper eight."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import png
import tifffile
from numpy.typing import NDArray

__all__ = ["read_deep_colour"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_CHANNELS = {2: 3, 4: 1, 6: 3}
"""Of PNG's colour types with several samples a pixel, without alpha: RGB, grey and alpha, RGBA."""
_DEEP = 16
"""Bits of a sample."""


def read_deep_colour(path: Path) -> NDArray[Any] | None:
    """Read a 16-bit PNG or a deeper-than-8-bit TIFF of several samples a pixel; else None.

    Alpha is dropped. A file that is damaged gives None or one of Pillow's kinds of error.

    Raises:
        ValueError: it is such an image, and damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(26)
    if head.startswith(_PNG_SIGNATURE):
        return _read_png(path, *head[24:26]) if len(head) == 26 else None  # noqa: PLR2004
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_tiff(path)
    return None


def _read_png(path: Path, bits: int, colour: int) -> NDArray[Any] | None:
    if bits != _DEEP or colour not in _COLOUR_CHANNELS:
        return None
    try:
        with path.open("rb") as file:
            width, height, rows, info = png.Reader(file=file).read()
            pixels = np.vstack([np.asarray(row, np.uint16) for row in rows])
    except (png.Error, EOFError) as error:
        raise ValueError(str(error)) from error
    return pixels.reshape(height, width, info["planes"])[:, :, : _COLOUR_CHANNELS[colour]]


def _read_tiff(path: Path) -> NDArray[Any] | None:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong, our errors say
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            samples, dtype = page.samplesperpixel, page.dtype
            if len(file.pages) > 1 or samples == 1 or dtype is None or dtype.itemsize == 1:
                return None
            pixels = np.asarray(page.asarray())
    except (tifffile.TiffFileError, KeyError, IndexError) as error:
        raise ValueError(str(error)) from error
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        pixels = np.moveaxis(pixels, 0, -1)
    return pixels[:, :, : samples - len(page.extrasamples)]
