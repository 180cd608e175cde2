"""Read images: PNG, JPEG, TIFF, BMP and NPY files, TIFF stacks, NPY and NIfTI volumes.

Pillow keeps the upper eight of sixteen bits a colour channel, so such PNG and TIFF files are read
by pypng and tifffile.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import png
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from unetrt import vendor
from unetrt.errors import DataError
from unetrt.files import replacing

__all__ = [
    "SUFFIXES",
    "VOLUME_SUFFIXES",
    "data_files",
    "read_image",
    "read_pages",
    "stem_of",
    "write_image",
]

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
