"""Files that hold one image or many: plain images, TIFF stacks, NPY and NIfTI volumes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from unetrt import vendor
from unetrt.data.images import SUFFIXES, read_image
from unetrt.errors import DataError

__all__ = ["VOLUME_SUFFIXES", "data_files", "read_pages", "stem_of"]

VOLUME_SUFFIXES = (".nii", ".nii.gz")
"""File names that count as volumes only; TIFF and NPY files may be either."""

_CHANNELS = (1, 3)


def data_files(folder: Path) -> list[Path]:
    """Return the image and volume files of a folder by name; hidden files do not count."""
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.name.lower().endswith(SUFFIXES + VOLUME_SUFFIXES)
            and not path.name.startswith(".")
            and path.is_file()
        )
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder}", got=error.strerror) from error


def stem_of(path: Path) -> str:
    """Return the name without its suffix, .nii.gz being one."""
    return path.name[:-7] if path.name.lower().endswith(".nii.gz") else path.stem


def read_pages(path: Path, *, axis: int = 2, palette: bool = False) -> list[NDArray[Any]]:
    """Read all images of a file, each [height, width, channels], 1 channel or 3.

    Of a TIFF stack or an NPY array [pages, height, width] the pages, of a NIfTI volume the slices
    across `axis`, as they are stored. With `palette`, see `read_image`.

    Raises:
        DataError: the file is missing, damaged, of other axes, or has values that are no numbers.
        MissingDependency: a NIfTI volume without nibabel.
    """
    name = path.name.lower()
    if name.endswith(VOLUME_SUFFIXES):
        volume = _read_nifti(path)
        pages = list(np.moveaxis(volume, axis, 0))
    elif name.endswith((".tif", ".tiff")) and _page_count(path) > 1:
        pages = list(_read_stack(path))
    elif name.endswith(".npy") and _is_volume(path):
        pages = list(np.load(path, allow_pickle=False))
    else:
        return [read_image(path, palette=palette)]
    return [_checked(path, number, page) for number, page in enumerate(pages)]


def _checked(path: Path, number: int, page: NDArray[Any]) -> NDArray[Any]:
    page = page[:, :, np.newaxis] if page.ndim == 2 else page  # noqa: PLR2004
    if page.ndim != 3 or page.shape[2] not in _CHANNELS or 0 in page.shape:  # noqa: PLR2004
        raise DataError(
            f"Cannot use {path}",
            got=f"pages of shape {page.shape}",
            expected="[height, width] or [height, width, 1 or 3]",
        )
    if page.dtype.kind not in "uif":
        raise DataError(f"Cannot use {path}", got=page.dtype, expected="numbers")
    if page.dtype.kind == "f" and not np.isfinite(page).all():
        raise DataError(
            f"Cannot use page {number} of {path}",
            got="NaN or infinite pixels",
            expected="finite values",
        )
    return np.ascontiguousarray(page)


def _read_nifti(path: Path) -> NDArray[Any]:
    nibabel = vendor.nibabel()
    try:
        volume = np.asarray(nibabel.load(path).dataobj)
    except Exception as error:  # nibabel's own and zlib's share no base but Exception
        raise DataError(
            f"Cannot read the volume {path}", got=error, expected="a whole NIfTI file"
        ) from error
    if volume.ndim not in (3, 4) or (volume.ndim == 4 and volume.shape[3] not in _CHANNELS):  # noqa: PLR2004
        raise DataError(
            f"Cannot use the volume {path}",
            got=f"shape {volume.shape}",
            expected="three axes, or a fourth of 1 or 3 channels",
        )
    return volume.astype(np.float32) if volume.dtype == np.float64 else volume


def _page_count(path: Path) -> int:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong, our errors say
    try:
        with tifffile.TiffFile(path) as file:
            return len(file.pages)
    except Exception:  # noqa: BLE001  (what Pillow then says of the file is the answer)
        return 1


def _read_stack(path: Path) -> NDArray[Any]:
    """Read a stack [pages, height, width(, channels)]; what tifffile cannot decode, by Pillow."""
    try:
        with tifffile.TiffFile(path) as file:
            cut_short = _is_cut_short(path, file)
            count, axes = len(file.series), file.series[0].axes
            stack = None if cut_short else np.asarray(file.series[0].asarray())
    except Exception as error:  # noqa: BLE001  (some compressions take a package; or it is damaged)
        return _read_frames(path, error)
    if stack is None:
        raise DataError(
            f"Cannot read the stack {path}",
            got="a file that ends before its pages do",
            expected="a whole TIFF file",
            hint="it was cut short: copy it again",
        )
    if count > 1 or len(axes.replace("S", "")) != 3:  # noqa: PLR2004
        raise DataError(
            f"Cannot use the stack {path}",
            got=f"{count} series, the first with axes {axes} {stack.shape}",
            expected="pages of one size, one after the other",
            hint="save each channel and each time point as a stack of its own",
        )
    return stack


def _is_cut_short(path: Path, file: tifffile.TiffFile) -> bool:
    size = path.stat().st_size
    return any(
        offset + length > size
        for page in file.pages
        for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True)
    )


def _read_frames(path: Path, refusal: Exception) -> NDArray[Any]:
    try:
        with Image.open(path) as image:
            return np.stack([np.array(frame) for frame in ImageSequence.Iterator(image)])
    except (OSError, ValueError, SyntaxError, EOFError):
        raise DataError(
            f"Cannot read the stack {path}",
            got=str(refusal) or type(refusal).__name__,
            expected="a whole TIFF file",
            hint="save it uncompressed",
        ) from refusal


def _is_volume(path: Path) -> bool:
    """Whether an array is [pages, height, width], and not one image with its channels last."""
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError):
        return False  # read_image says why
    return len(shape) == 4 or (len(shape) == 3 and shape[2] not in _CHANNELS)  # noqa: PLR2004
