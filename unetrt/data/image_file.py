"""Images too large to hold: files that give any part of themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.errors import DataError, UnetrtError

__all__ = ["ImageFile", "open_image_file"]

_CHANNELS = (1, 3)
_RANKS = (2, 3)

Read = Callable[[tuple[slice, slice]], NDArray[Any]]


class ImageFile:
    """One image in a file, read part by part.

    Nothing stays mapped or open between two reads: mapped pages would count as memory in use.

    Attributes:
        path: of the file.
        shape: height, width, channels.
        dtype: of the pixels, native.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], read: Read
    ) -> None:
        if len(shape) not in _RANKS or 0 in shape or (*shape, 1)[2] not in _CHANNELS:
            raise DataError(
                f"Cannot use the image {path}",
                got=f"an array of shape {shape}",
                expected="[height, width] or [height, width, 1 or 3]",
            )
        if dtype.kind not in "uif":
            raise DataError(f"Cannot use the image {path}", got=dtype, expected="numbers")
        self.path = path
        self.shape = (*shape, 1)[:3]
        self.dtype = dtype.newbyteorder("=")
        self._read = read

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        """Return a part of the image, [rows, columns, channels].

        Raises:
            DataError: the file cannot be read there, or holds NaN or infinite pixels.
            MissingDependency: a compressed TIFF without the zarr package.
        """
        try:
            part = self._read(key).astype(self.dtype, copy=False)
        except UnetrtError:
            raise
        except Exception as error:  # the decoders' own errors share no base but Exception
            raise DataError(
                f"Cannot read rows {key[0].start} to {key[0].stop} of {self.path}",
                got=str(error) or type(error).__name__,
                expected="a whole file",
            ) from error
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            raise DataError(
                f"Cannot use rows {key[0].start} to {key[0].stop} of {self.path}",
                got="NaN or infinite pixels",
                expected="finite values",
            )
        return part if part.ndim == 3 else part[:, :, np.newaxis]  # noqa: PLR2004


def open_image_file(path: Path) -> ImageFile | None:
    """Open an NPY array, a TIFF of one page or a Zarr array to read parts of it.

    Returns None for what gives itself only whole: other kinds of files, stacks, and damaged
    files, of which `read_image` says what is wrong.

    Raises:
        DataError: an array that is not an image.
        MissingDependency: a Zarr array without the zarr package.
    """
    kind = path.suffix.lower()
    if kind == ".zarr":
        return _zarr(path)
    if kind == ".npy":
        return _npy(path)
    return _tiff(path) if kind in (".tif", ".tiff") else None


def _zarr(path: Path) -> ImageFile:
    zarr = vendor.zarr()
    try:
        array = zarr.open_array(path, mode="r")
    except Exception as error:  # Zarr's own errors share no base but Exception
        raise DataError(
            f"Cannot read {path}",
            got=str(error) or type(error).__name__,
            expected="a Zarr array, not a group",
        ) from error
    return ImageFile(path, array.shape, np.dtype(array.dtype), lambda key: np.asarray(array[key]))


def _npy(path: Path) -> ImageFile | None:
    def mapped() -> NDArray[Any]:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array

    try:
        array = mapped()
    except (OSError, ValueError, EOFError):
        return None
    return ImageFile(path, array.shape, array.dtype, lambda key: np.array(mapped()[key]))


def _tiff(path: Path) -> ImageFile | None:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong, our errors say
    try:
        with tifffile.TiffFile(path) as file:
            if len(file.pages) != 1:
                return None
            page = file.pages.first
            shape, dtype, mappable = page.shape, page.dtype, page.is_memmappable
    except Exception:  # noqa: BLE001  (what read_image then says of the file is the answer)
        return None
    if (len(shape) == 3 and shape[2] not in _CHANNELS) or dtype is None:  # noqa: PLR2004
        return None  # alpha, or channels in planes
    if mappable:
        return ImageFile(
            path, shape, dtype, lambda key: np.array(tifffile.memmap(path, mode="r")[key])
        )

    def read(key: tuple[slice, slice]) -> NDArray[Any]:
        zarr = vendor.zarr()  # small images are never read in parts
        with tifffile.TiffFile(path) as file, closing(file.aszarr()) as store:
            return np.asarray(zarr.open_array(store, mode="r")[key])

    return ImageFile(path, shape, dtype, read)
