"""Read parts of images that are too large to hold, and write their label maps row by row."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.errors import BadInput, DataError, OutputError, UnetrtError
from unetrt.files import write_text

__all__ = ["SUFFIXES", "ImageFile", "LabelFile", "open_image_file"]

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


SUFFIXES = (".zarr", ".npy")
"""Kinds of files that labels can be written to row by row."""

_CHUNK = 1024
"""Rows and columns of a Zarr chunk; so many rows are written at once, and each chunk once."""


class _Store(Protocol):
    def write(self, top: int, rows: NDArray[np.uint8]) -> None:
        """Put whole rows in their place."""


class LabelFile:
    """uint8 [height, width], in a Zarr array or an NPY file, by the suffix.

    Until it is finished it lies beside `path` under another name, with a note of how far it is and
    what it is made from; who opens it again with the same `made_from` goes on from there.

    Raises:
        OutputError: it cannot be written.
        BadInput: another suffix.
        MissingDependency: a Zarr array without the zarr package.
    """

    def __init__(self, path: Path, height: int, width: int, made_from: dict[str, Any]) -> None:
        if path.suffix not in SUFFIXES:
            raise BadInput(
                f"Cannot write labels to {path}",
                got=path.suffix,
                expected=" or ".join(SUFFIXES),
            )
        self.path = path
        self._part = path.with_name(f".{path.stem}.partial{path.suffix}")
        self._note = path.with_name(f".{path.stem}.partial.json")
        self._shape = height, width
        self._made_from = {**made_from, "shape": [height, width]}
        self._waiting: list[NDArray[np.uint8]] = []
        self.done = self._found()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self.done:
                _remove(self._part)
            self._store: _Store = (_Zarr if path.suffix == ".zarr" else _Npy)(
                self._part, self._shape, new=not self.done
            )
        except OSError as error:
            raise self._refused(error) from error

    @property
    def next_row(self) -> int:
        """The row that `append` expects first."""
        return self.done + sum(map(len, self._waiting))

    def append(self, rows: NDArray[np.uint8]) -> None:
        """Add whole rows below those there are; they are kept once a chunk is full.

        Raises:
            OutputError: they cannot be written; what was, stays.
        """
        self._waiting.append(rows)
        count = sum(map(len, self._waiting))
        ready = count if self.done + count == self._shape[0] else count // _CHUNK * _CHUNK
        if not ready:
            return
        together = np.concatenate(self._waiting)
        try:
            self._store.write(self.done, together[:ready])
        except OSError as error:
            raise self._refused(error) from error
        self._waiting = [together[ready:]]
        self.done += ready
        write_text(self._note, json.dumps({"done": self.done, "made_from": self._made_from}))

    def finish(self) -> None:
        """Put the whole file in its place.

        Raises:
            OutputError: it cannot be.
        """
        assert self.done == self._shape[0]  # noqa: S101
        try:
            _remove(self.path)
            self._part.replace(self.path)
            self._note.unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    def _found(self) -> int:
        """Return how many rows an interrupted run has left of the same."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            same = note["made_from"] == self._made_from and self._part.exists()
            return int(note["done"]) if same else 0
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(
            f"Cannot write {self.path}",
            got=error.strerror or error,
            hint=f"make room, and run the same command again: it goes on after row {self.done}",
        )


class _Zarr:
    def __init__(self, path: Path, shape: tuple[int, int], *, new: bool) -> None:
        zarr = vendor.zarr()
        self._array = (
            zarr.create_array(path, shape=shape, chunks=(_CHUNK, _CHUNK), dtype="uint8")
            if new
            else zarr.open_array(path, mode="r+")
        )

    def write(self, top: int, rows: NDArray[np.uint8]) -> None:
        self._array[top : top + len(rows)] = rows


class _Npy:
    """Written, not mapped: on a full disk a mapped file kills the process."""

    def __init__(self, path: Path, shape: tuple[int, int], *, new: bool) -> None:
        self._path, self._width = path, shape[1]
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        with path.open("wb" if new else "rb") as file:
            if new:
                np.lib.format.write_array_header_1_0(file, header)
            else:
                np.lib.format.read_magic(file)
                np.lib.format.read_array_header_1_0(file)
            self._begin = file.tell()

    def write(self, top: int, rows: NDArray[np.uint8]) -> None:
        with self._path.open("r+b") as file:
            file.seek(self._begin + top * self._width)
            file.write(np.ascontiguousarray(rows).data)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
