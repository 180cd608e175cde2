"""Reading and writing single images."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetrt.data.deep_colour import read_deep_colour
from unetrt.errors import DataError
from unetrt.files import replacing

__all__ = ["SUFFIXES", "image_files", "read_image", "write_image"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy")
"""File names that count as images."""

_AS_STORED = {"L", "RGB", "I;16", "I;16B", "I", "F"}
_CONVERTED = {"1": "L", "LA": "L", "P": "RGB", "RGBA": "RGB", "CMYK": "RGB"}


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder in the order of their names; hidden files do not count."""
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder}", got=error.strerror) from error


def read_image(path: Path, *, palette: bool = False) -> NDArray[Any]:
    """Read an image as [height, width, channels], 1 channel or 3, in its own type and values.

    With `palette`, a palette image gives its indices, as label maps want them, not its colours.

    Raises:
        DataError: the file is missing, not an image, damaged, of more than one page, or has
            values that are not numbers.
    """
    try:
        with warnings.catch_warnings():
            # So Pillow calls a TIFF whose directory is cut short.
            warnings.filterwarnings("error", "Corrupt EXIF data", UserWarning)
            pixels = _read(path, palette)
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, UserWarning) as error:
        raise DataError(
            f"Cannot read the image {path}",
            got=str(error) or type(error).__name__,
            expected="a whole PNG, JPEG, TIFF, BMP or NPY file",
        ) from error
    if pixels.ndim == 2:  # noqa: PLR2004
        pixels = pixels[:, :, np.newaxis]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:  # noqa: PLR2004
        raise DataError(
            f"Cannot use the image {path}",
            got=f"an array of shape {pixels.shape}",
            expected="[height, width] or [height, width, 1 or 3]",
        )
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise DataError(
            f"Cannot use the image {path}", got="NaN or infinite pixels", expected="finite values"
        )
    return pixels


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write uint8 [height, width] or [height, width, 3] as an image, whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def _read(path: Path, palette: bool) -> NDArray[Any]:  # noqa: FBT001
    if path.suffix.lower() == ".npy":
        return _read_npy(path)
    deep = read_deep_colour(path)
    return _read_pillow(path, palette) if deep is None else deep


def _read_npy(path: Path) -> NDArray[Any]:
    pixels: NDArray[Any] = np.load(path, allow_pickle=False)
    if pixels.dtype.kind not in "uif":
        raise DataError(f"Cannot use the image {path}", got=pixels.dtype, expected="numbers")
    return pixels


def _read_pillow(path: Path, palette: bool) -> NDArray[Any]:  # noqa: FBT001
    with Image.open(path) as image:
        if getattr(image, "n_frames", 1) > 1:
            raise DataError(
                f"Cannot use the image {path}",
                got=f"{image.n_frames} pages",  # type: ignore[attr-defined]
                expected="one",
                hint="save each page as a file of its own",
            )
        if image.mode in _AS_STORED or (palette and image.mode == "P"):
            return np.array(image)
        if image.mode not in _CONVERTED:
            raise DataError(
                f"Cannot use the image {path}",
                got=f"colour mode {image.mode}",
                expected="grey, RGB",
            )
        return np.array(image.convert(_CONVERTED[image.mode]))
