"""Read images and volumes, whole or part by part: PNG, JPEG, TIFF, BMP, NPY, NIfTI and Zarr.

Pillow keeps the upper eight of sixteen bits a colour channel, so such PNG and TIFF files are read
by pypng and tifffile.
"""

from __future__ import annotations

import logging
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import png
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from unetrt import vendor
from unetrt.data.orientation import ORIENTATION_TAG, Orientation, png_orientation
from unetrt.errors import DataError, UnetrtError

__all__ = [
    "IMAGE_SUFFIXES",
    "VOLUME_SUFFIXES",
    "ImageFile",
    "data_files",
    "open_image_file",
    "read_image",
    "read_pages",
    "stem_of",
]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy")
"""File names that count as images; a TIFF or NPY file may hold a volume too."""

VOLUME_SUFFIXES = (".nii", ".nii.gz")
"""File names that count as volumes only."""

_CHANNELS = (1, 3)


def data_files(folder: Path) -> list[Path]:
    """Return the image and volume files of a folder by name, without hidden files.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.name.lower().endswith(IMAGE_SUFFIXES + VOLUME_SUFFIXES)
            and not path.name.startswith(".")
            and path.is_file()
        )
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder}", got=error.strerror) from error


def stem_of(path: Path) -> str:
    """Return the name without its suffix, which may be .nii.gz.

    >>> stem_of(Path("scans/head.nii.gz"))
    'head'
    """
    return path.name[:-7] if path.name.lower().endswith(".nii.gz") else path.stem


def read_image(path: str | Path, *, palette: bool = False) -> NDArray[Any]:
    """Read one image as [height, width, channels], in the type and values of the file.

    It is turned as its EXIF or TIFF orientation says, as every viewer shows it.

    Args:
        path: a PNG, JPEG, TIFF, BMP or NPY file of 1 or 3 channels; alpha is dropped.
        palette: read the indices of a palette image, as label maps want them, not its colours.

    Raises:
        DataError: the file is missing, not an image, damaged, of more than one page, or has
            values that are not finite numbers.

    Example:
        >>> image = read_image("cell.png")
        >>> image.shape, image.dtype
        ((48, 56, 1), dtype('uint8'))
    """
    path = Path(path)
    with _one_sentence(f"the image {path}", "a whole PNG, JPEG, TIFF, BMP or NPY file"):
        _check_kind(Path(path))
        return _checked(_read_whole(Path(path), palette=palette), f"the image {path}")


def read_pages(path: Path, *, axis: int = 2, palette: bool = False) -> list[NDArray[Any]]:
    """Read every image of a file, each as [height, width, channels].

    Args:
        path: an image, a TIFF stack, an NPY array [pages, height, width] or [pages, height,
            width, channels], or a NIfTI volume. Channels are 1 or 3, but of the second NPY form,
            whose last axis can be nothing else, any number.
        axis: the axis that a NIfTI volume is sliced across; slices are as they are stored.
        palette: as for `read_image`.

    Raises:
        DataError: the file is missing, damaged, of other axes, or has values that are not
            finite numbers.
        MissingDependency: a NIfTI volume without nibabel.

    Example:
        >>> import numpy as np
        >>> np.save("volume.npy", np.zeros((5, 16, 20), np.uint8))
        >>> pages = read_pages(Path("volume.npy"))
        >>> len(pages), pages[0].shape
        (5, (16, 20, 1))
    """
    name = path.name.lower()
    volume = name.endswith(VOLUME_SUFFIXES)
    what, expected = ("volume", "NIfTI") if volume else ("stack", "TIFF or NPY")
    stated = False
    with _one_sentence(f"the {what} {path}", f"a whole {expected} file"):
        _check_kind(path)
        if volume:
            pages = list(np.moveaxis(_read_nifti(path), axis, 0))
        elif name.endswith((".tif", ".tiff")) and _page_count(path) > 1:
            pages = _read_stack(path)
        elif name.endswith(".npy") and _holds_pages(path):
            pages = list(_load_npy(path))
            stated = pages[0].ndim == 3 if pages else False  # noqa: PLR2004
        else:
            return [read_image(path, palette=palette)]
        return [
            _checked(page, f"page {number} of {path}", any_channels=stated)
            for number, page in enumerate(pages)
        ]


class ImageFile:
    """Read one image part by part.

    Nothing stays mapped or open between two reads: mapped pages would count as memory in use.

    Attributes:
        path: of the file.
        shape: height, width, channels.
        dtype: of the pixels, in the byte order of this machine.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        read: Callable[[tuple[slice, slice]], NDArray[Any]],
    ) -> None:
        _check_form(shape, dtype, f"the image {path}")
        self.path = path
        self.shape = (*shape, 1)[:3]
        self.dtype = dtype.newbyteorder("=")
        self._read = read

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        """Read a part of the image, [rows, columns, channels].

        Raises:
            DataError: the file cannot be read there, or holds NaN or infinite pixels.
            MissingDependency: a compressed TIFF without the zarr package.
        """
        rows = f"rows {key[0].start} to {key[0].stop} of {self.path}"
        with _one_sentence(rows, "a whole file"):
            return _checked(self._read(key).astype(self.dtype, copy=False), rows)


def open_image_file(path: Path) -> ImageFile | None:
    """Open an NPY array, a TIFF of one page or a Zarr array to read it part by part.

    Returns:
        None for a file that can only be read whole: other formats, stacks, and damaged files, of
        which `read_image` says what is wrong.

    Raises:
        DataError: an array that is not an image.
        MissingDependency: a Zarr array without the zarr package.

    Example:
        >>> import numpy as np
        >>> np.save("slide.npy", np.zeros((4000, 3000), np.uint8))
        >>> slide = open_image_file(Path("slide.npy"))
        >>> slide.shape, slide[0:512, 1024:1536].shape
        ((4000, 3000, 1), (512, 512, 1))
    """
    suffix = path.suffix.lower()
    if suffix == ".zarr":
        return _open_zarr(path)
    if not path.is_file():
        return None
    if suffix == ".npy":
        return _open_npy(path)
    return _open_tiff(path) if suffix in (".tif", ".tiff") else None


_LONGEST_REASON = 200
"""Characters of a library's own words that are passed on: some print the bytes they choke on."""


@contextmanager
def _one_sentence(what: str, expected: str) -> Iterator[None]:
    """Raise one DataError for whatever the block raises, but for errors of ours.

    Decoders' errors share no base but Exception: zlib.error, struct.error, MemoryError, KeyError,
    AssertionError, SyntaxError and many more come out of damaged files.
    """
    try:
        yield
    except UnetrtError:
        raise
    except Exception as error:
        no_codec = isinstance(error, ImportError) or "imagecodecs" in str(error)
        raise DataError(
            f"Cannot read {what}",
            got="a compression that no installed package decodes" if no_codec else _reason(error),
            expected=expected,
            hint="install imagecodecs, or save it uncompressed" if no_codec else None,
        ) from error


def _reason(error: Exception) -> str:
    """Return a library's words in one line that ends where our sentence goes on."""
    words = (error.strerror if isinstance(error, OSError) else None) or str(error)
    printable = "".join(c if c.isprintable() else " " for c in words[: 4 * _LONGEST_REASON])
    line = " ".join(printable.split()).rstrip(".:;, ")
    if len(line) > _LONGEST_REASON:
        line = f"{line[:_LONGEST_REASON]}..."
    # Of a KeyError or an IndexError the text alone, such as "0", says nothing.
    telling = isinstance(error, OSError | ValueError | SyntaxError | MemoryError | png.Error)
    kind = type(error)
    name = f"{kind.__module__}.error" if kind.__name__ == "error" else kind.__name__
    return (line if telling else f"{name}: {line}") if line else name


def _check_kind(path: Path) -> None:
    """Refuse what is there and no file: a pipe would be waited for, a device never end."""
    if path.exists() and not path.is_file():
        raise DataError(
            f"Cannot read {path}",
            got="a folder" if path.is_dir() else "a pipe or device",
            expected="a file",
        )


def _check_form(
    shape: tuple[int, ...], dtype: np.dtype[Any], what: str, *, any_channels: bool = False
) -> None:
    """Raise DataError unless an array of this shape and type is one image."""
    fits = any_channels or (*shape, 1, 1)[2] in _CHANNELS
    if len(shape) not in (2, 3) or 0 in shape or not fits:
        raise DataError(
            f"Cannot use {what}",
            got=f"an array of shape {shape}",
            expected="[height, width] or [height, width, 1 or 3]",
        )
    if dtype.kind not in "uif":
        raise DataError(f"Cannot use {what}", got=dtype, expected="numbers")


def _checked(pixels: NDArray[Any], what: str, *, any_channels: bool = False) -> NDArray[Any]:
    """Return an image as [height, width, channels], or raise DataError if it is none."""
    _check_form(pixels.shape, pixels.dtype, what, any_channels=any_channels)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise DataError(
            f"Cannot use {what}", got="NaN or infinite pixels", expected="finite values"
        )
    pixels = np.ascontiguousarray(pixels)  # turned images are views
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]  # noqa: PLR2004


def _read_whole(path: Path, *, palette: bool) -> NDArray[Any]:
    if path.suffix.lower() == ".npy":
        return _load_npy(path)
    pixels = _read_deep_colour(path)
    return _read_with_pillow(path, palette=palette) if pixels is None else pixels


def _load_npy(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":  # NumPy would take archives and pickles too
            raise ValueError("no NPY header")
        file.seek(0)
        given: Any = path if mapped else file
        array: NDArray[Any] = np.load(given, mmap_mode="r" if mapped else None, allow_pickle=False)
    return array.view(np.uint8) if array.dtype == bool else array


_FILTERS = threading.Lock()


@contextmanager
def _telling_warnings() -> Iterator[None]:
    """Raise what Pillow warns of where a TIFF's directory is cut short; drop its other warnings.

    Filters are the process's own, and files are read in several threads.
    """
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", "Corrupt EXIF data", UserWarning)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    # Given a path, Pillow maps an uncompressed TIFF into memory, and maps one that its tag turns
    # with rows for columns (Pillow 13.0): wrong pixels, without a word.
    with path.open("rb") as file:
        try:
            with _telling_warnings():
                image = Image.open(file)
        except UnidentifiedImageError as error:
            raise ValueError("no kind of image that is known") from error
        with image:
            yield image


_AS_STORED = {"L", "RGB", "I;16", "I;16B", "I", "F"}
_CONVERTED = {"1": "L", "LA": "L", "P": "RGB", "RGBA": "RGB", "CMYK": "RGB"}


def _read_with_pillow(path: Path, *, palette: bool) -> NDArray[Any]:
    with _opened(path) as image:
        with _telling_warnings():
            frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # a photograph, with previews behind it
            raise DataError(
                f"Cannot use the image {path}",
                got=f"{frames} pages",
                expected="one",
                hint="save each page as a file of its own",
            )
        image.load()  # a PNG's tags may stand behind its pixels
        # Pillow turns TIFF images by itself as it loads them.
        tag = 1 if image.format == "TIFF" else image.getexif().get(ORIENTATION_TAG)
        picture = Orientation.of(tag)
        if image.mode in _AS_STORED or (palette and image.mode == "P"):
            return picture(np.array(image))
        if image.mode not in _CONVERTED:
            raise DataError(
                f"Cannot use the image {path}",
                got=f"colour mode {image.mode}",
                expected="grey, RGB",
            )
        return picture(np.array(image.convert(_CONVERTED[image.mode])))


_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLOURS = {2: 3, 4: 1, 6: 3}
"""PNG's colour types of several samples a pixel (RGB, grey and alpha, RGBA), and their channels
without alpha."""


def _read_deep_colour(path: Path) -> NDArray[Any] | None:
    """Read a PNG or TIFF whose pixels Pillow would change or refuse; else return None."""
    with path.open("rb") as file:
        head = file.read(26)
    if head.startswith(_PNG_SIGNATURE):
        return _read_deep_png(path, *head[24:26]) if len(head) == 26 else None  # noqa: PLR2004
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_deep_tiff(path)
    return None


def _read_deep_png(path: Path, bits: int, colour: int) -> NDArray[Any] | None:
    if bits != 16 or colour not in _PNG_COLOURS:  # noqa: PLR2004
        return None
    with path.open("rb") as file:
        width, height, rows, info = png.Reader(file=file).read()
        pixels = np.vstack([np.asarray(row, np.uint16) for row in rows])
    pixels = pixels.reshape(height, width, info["planes"])[:, :, : _PNG_COLOURS[colour]]
    return png_orientation(path)(pixels)


_NOT_PILLOWS = {"int8", "uint32", "int64", "uint64", "float16", "float64"}
"""Types of pixels that Pillow refuses, or reads as another type."""


def _read_deep_tiff(path: Path) -> NDArray[Any] | None:
    with _tiff(path) as file:
        page = file.pages.first
        samples, dtype = page.samplesperpixel, page.dtype
        if len(file.pages) > 1 or dtype is None:
            return None
        if dtype.name not in _NOT_PILLOWS and (samples == 1 or dtype.itemsize == 1):
            return None
        if _is_cut_short(path, file):
            raise ValueError("a file that ends before its pixels do")
        pixels = np.asarray(page.asarray())
    if samples == 1:
        return _orientation_of(page)(pixels)
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        pixels = np.moveaxis(pixels, 0, -1)
    return _orientation_of(page)(pixels[:, :, : samples - len(page.extrasamples)])


def _tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF file; what is wrong with it, our errors say, not tifffile's log."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return tifffile.TiffFile(path)


def _orientation_of(page: tifffile.TiffPage) -> Orientation:
    return Orientation.of(page.tags.valueof(ORIENTATION_TAG))


def _page_count(path: Path) -> int:
    try:
        with _tiff(path) as file:
            return len(file.pages)
    except Exception:  # noqa: BLE001  (read_image then says what is wrong)
        return 1


def _read_stack(path: Path) -> list[NDArray[Any]]:
    """Read the pages of a stack, each [height, width(, channels)].

    What tifffile cannot decode, Pillow reads, and turns as it does.
    """
    try:
        with _tiff(path) as file:
            cut_short = _is_cut_short(path, file)
            count, axes = len(file.series), file.series[0].axes
            stack = None if cut_short else np.asarray(file.series[0].asarray())
            orientation = _orientation_of(file.pages.first)
    except Exception:  # some compressions take a package; or it is damaged
        frames = _read_frames(path)
        if frames is None:
            raise
        return frames
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
    return [orientation(page) for page in stack]


def _is_cut_short(path: Path, file: tifffile.TiffFile) -> bool:
    """Tell a file that cannot hold what its pages claim: cut short, or of billions of pixels."""
    size = path.stat().st_size

    def claims_more(page: Any) -> bool:
        ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
        if page.is_memmappable:
            ends.append(page.dataoffsets[0] + page.nbytes)
        return bool(len(ends) < math.prod(page.chunked) or max(ends) > size)

    return any(claims_more(page) for page in file.pages)


def _read_frames(path: Path) -> list[NDArray[Any]] | None:
    """Read a stack by Pillow, or return None where it cannot either."""
    try:
        with _opened(path) as image:
            frames = [np.array(image)]
            while _seek_next(image):
                frames.append(np.array(image))
            return frames
    except Exception:  # noqa: BLE001  (tifffile's words are the clearer ones)
        return None


def _seek_next(image: Image.Image) -> bool:
    with _telling_warnings():
        try:
            image.seek(image.tell() + 1)
        except EOFError:
            return False
    return True


def _read_nifti(path: Path) -> NDArray[Any]:
    nibabel = vendor.nibabel()
    volume = np.asarray(nibabel.load(path).dataobj)
    if volume.ndim not in (3, 4) or (*volume.shape, 1)[3] not in _CHANNELS:
        raise DataError(
            f"Cannot use the volume {path}",
            got=f"shape {volume.shape}",
            expected="three axes, or a fourth of 1 or 3 channels",
        )
    return volume.astype(np.float32) if volume.dtype == np.float64 else volume


def _holds_pages(path: Path) -> bool:
    """Tell an array [pages, height, width] from one image with its channels last."""
    try:
        shape = _load_npy(path, mapped=True).shape
    except Exception:  # noqa: BLE001  (read_image says why)
        return False
    return len(shape) == 4 or (len(shape) == 3 and shape[2] not in _CHANNELS)  # noqa: PLR2004


def _open_zarr(path: Path) -> ImageFile:
    zarr = vendor.zarr()
    with _one_sentence(str(path), "a Zarr array, not a group"):
        array = zarr.open_array(path, mode="r")
        dtype = np.dtype(array.dtype)
        return ImageFile(path, array.shape, dtype, lambda key: np.asarray(array[key]))


def _open_npy(path: Path) -> ImageFile | None:
    try:
        array = _load_npy(path, mapped=True)
    except Exception:  # noqa: BLE001  (read_image then says what is wrong)
        return None
    return ImageFile(
        path, array.shape, array.dtype, lambda key: np.array(_load_npy(path, mapped=True)[key])
    )


def _open_tiff(path: Path) -> ImageFile | None:
    try:
        with _tiff(path) as file:
            if len(file.pages) != 1:
                return None
            page = file.pages.first
            # Colours of a palette, and white as 0, are read whole: one file has one meaning.
            plain = page.photometric in (
                tifffile.PHOTOMETRIC.MINISBLACK,
                tifffile.PHOTOMETRIC.RGB,
            )
            if not plain or _is_cut_short(path, file):
                return None
            shape = tuple(map(index, page.shape))  # a damaged tag may hold bytes for a number
            dtype, mappable = page.dtype, page.is_memmappable
            orientation = _orientation_of(page)
    except Exception:  # noqa: BLE001  (read_image then says what is wrong)
        return None
    if (len(shape) == 3 and shape[2] not in _CHANNELS) or dtype is None:  # noqa: PLR2004
        return None  # alpha, or channels in planes
    height, width = orientation.size(*shape[:2])

    def read(key: tuple[slice, slice]) -> NDArray[Any]:
        stored = orientation.stored(key, height, width)
        return orientation(np.array(mapped(stored) if mappable else decoded(stored)))

    def mapped(key: tuple[slice, slice]) -> NDArray[Any]:
        pixels: NDArray[Any] = tifffile.memmap(path, mode="r")[key]
        return pixels

    def decoded(key: tuple[slice, slice]) -> NDArray[Any]:
        zarr = vendor.zarr()  # small images are never read in parts
        with _tiff(path) as file, closing(file.aszarr()) as store:
            return np.asarray(zarr.open_array(store, mode="r")[key])

    return ImageFile(path, (height, width, *shape[2:]), dtype, read)
