"""Write label maps, whole or row by row, and draw them over their images."""

from __future__ import annotations

import gzip
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetrt import vendor
from unetrt.data.dataset import IGNORED
from unetrt.errors import BadInput, OutputError
from unetrt.files import replacing, write_bytes, write_text

__all__ = ["COLOURS", "LabelFile", "overlay", "panels", "write_image", "write_nifti_labels"]

COLOURS = np.array(
    [(0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0)],
    np.float32,
)
"""RGB of the classes in turn, the background first: Okabe and Ito's, told apart by all eyes."""

_OPACITY = 0.45

_RGB = 3

_ZLIB_LEVEL = 6
"""zlib's usual level; label maps shrink a hundredfold at any."""

_CHUNK = 1024
"""Rows and columns of a Zarr chunk; so many rows are written at once, and each chunk once."""


def write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write uint8 [height, width] or [height, width, 3] as an image, whole or not at all.

    Args:
        path: the file to write; its suffix chooses the format.
        pixels: labels, grey values or RGB.

    Raises:
        OutputError: `path` cannot be written.

    Example:
        >>> write_image(Path("labels/cell.png"), np.zeros((48, 56), np.uint8))
    """
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def write_nifti_labels(
    path: Path, volume: Path, slices: list[NDArray[np.uint8]], *, axis: int = 2
) -> None:
    """Write labels as a NIfTI volume in the space of another: its affine, codes and units.

    Args:
        path: the file to write, a .nii.gz.
        volume: the NIfTI file that was segmented.
        slices: its labels across `axis`, uint8 [height, width], as `read_pages` gives the slices.
        axis: the axis that it was sliced across.

    Raises:
        OutputError: `path` cannot be written.
        MissingDependency: nibabel is not installed.

    Example:
        >>> import nibabel
        >>> head = nibabel.Nifti1Image(np.zeros((5, 4, 3), np.uint8), np.eye(4))
        >>> nibabel.save(head, "head.nii.gz")
        >>> slices = [np.ones((5, 4), np.uint8)] * 3
        >>> write_nifti_labels(Path("labels.nii.gz"), Path("head.nii.gz"), slices)
        >>> nibabel.load("labels.nii.gz").shape
        (5, 4, 3)
    """
    nibabel = vendor.nibabel()
    source: Any = nibabel.load(volume)
    labels = np.moveaxis(np.stack(slices), 0, axis)
    image = nibabel.Nifti1Image(labels, source.affine)
    header = source.header
    image.set_sform(source.get_sform(), int(header["sform_code"]))
    image.set_qform(source.get_qform(), int(header["qform_code"]))
    image.header.set_zooms(header.get_zooms()[:3])
    space = header.get_xyzt_units()[0]
    image.header.set_xyzt_units(xyz=space)
    # No time stamp: the same labels give the same file.
    write_bytes(path, gzip.compress(image.to_bytes(), _ZLIB_LEVEL, mtime=0))


class LabelFile:
    """Write labels too large to hold, row by row, into a Zarr array or an NPY file.

    Until `finish`, the rows lie beside `path` under another name, with a note of how many there
    are and what they are made from. Opened again with the same `made_from`, it resumes there.

    Args:
        path: the file to write: .zarr or .npy.
        height: rows.
        width: pixels of a row.
        made_from: JSON-ready values that tell these labels from others, such as hashes.

    Attributes:
        path: the file to write.
        done: rows that are written and would survive a kill.

    Raises:
        OutputError: it cannot be written.
        BadInput: another suffix.
        MissingDependency: a Zarr array without the zarr package.

    Example:
        >>> labels = LabelFile(Path("labels.npy"), 4, 6, made_from={"image": "slide.zarr"})
        >>> labels.append(np.zeros((3, 6), np.uint8))
        >>> labels.next_row
        3
        >>> labels.append(np.ones((1, 6), np.uint8))
        >>> labels.finish()
        >>> np.load("labels.npy").shape
        (4, 6)
    """

    SUFFIXES: ClassVar = (".zarr", ".npy")
    """Formats that can be written row by row."""

    def __init__(self, path: Path, height: int, width: int, made_from: dict[str, Any]) -> None:
        if path.suffix not in self.SUFFIXES:
            raise BadInput(
                f"Cannot write labels to {path}",
                got=path.suffix,
                expected=" or ".join(self.SUFFIXES),
            )
        self.path = path
        self._part = path.with_name(f".{path.stem}.partial{path.suffix}")
        self._note = path.with_name(f".{path.stem}.partial.json")
        self._shape = height, width
        self._made_from = {**made_from, "shape": [height, width]}
        self._waiting: list[NDArray[np.uint8]] = []
        self.done = self._rows_left_behind()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self.done:
                _remove(self._part)
            self._store: _Store = (_ZarrStore if path.suffix == ".zarr" else _NpyStore)(
                self._part, self._shape, new=not self.done
            )
        except OSError as error:
            raise self._refused(error) from error

    @property
    def next_row(self) -> int:
        """Return the row that `append` expects first."""
        return self.done + sum(map(len, self._waiting))

    def append(self, rows: NDArray[np.uint8]) -> None:
        """Add whole rows, uint8 [rows, width], below those there are.

        They are written once they fill a chunk.

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
        """Put the whole file in its place, once every row is there.

        Raises:
            OutputError: it cannot be moved there.
        """
        assert self.done == self._shape[0]  # noqa: S101
        try:
            _remove(self.path)
            self._part.replace(self.path)
            self._note.unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    def discard(self) -> None:
        """Leave nothing behind, of an image whose rest cannot be read."""
        with suppress(OSError):
            _remove(self._part)
            self._note.unlink(missing_ok=True)

    def _rows_left_behind(self) -> int:
        """Return how many rows of the same labels an interrupted run has written."""
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
            hint=f"make room, and run it again: it resumes after row {self.done}",
        )


def overlay(image: NDArray[Any], label: NDArray[Any] | None = None) -> NDArray[np.uint8]:
    """Draw an image with its contrast stretched, and its classes tinted over it.

    Args:
        image: [height, width, channels] of any type; of other than 1 or 3 channels the mean is
            shown, each stretched by itself.
        label: class numbers [height, width]; background and ignored pixels are not tinted.

    Returns:
        RGB, uint8 [height, width, 3].

    Example:
        >>> image = np.arange(12, dtype=np.uint16).reshape(3, 4, 1)
        >>> overlay(image, image[:, :, 0] > 5).shape
        (3, 4, 3)
    """
    together = image.shape[2] in (1, _RGB)
    low, high = np.percentile(image, (0.5, 99.5), axis=None if together else (0, 1))
    grey = np.clip((image - low) / np.maximum(high - low, 1e-6), 0, 1) * 255
    grey = grey if together else grey.mean(axis=2, keepdims=True)
    rgb = np.broadcast_to(grey, (*image.shape[:2], 3)).astype(np.float32)
    if label is not None:
        known = (label > 0) & (label != IGNORED)
        shown = np.where(known, (label.astype(np.int64) - 1) % (len(COLOURS) - 1) + 1, 0)
        tinted = (1 - _OPACITY) * rgb + _OPACITY * COLOURS[shown]
        rgb = np.where(known[:, :, np.newaxis], tinted, rgb)
    return rgb.astype(np.uint8)


def panels(image: NDArray[Any], truth: NDArray[Any], prediction: NDArray[Any]) -> NDArray[np.uint8]:
    """Draw an image, its truth and its prediction side by side, each as `overlay` does.

    Example:
        >>> image, label = np.zeros((48, 56, 1)), np.ones((48, 56), np.uint8)
        >>> panels(image, label, label).shape
        (48, 176, 3)
    """
    gap = np.full((image.shape[0], 4, 3), 255, np.uint8)
    return np.hstack([overlay(image), gap, overlay(image, truth), gap, overlay(image, prediction)])


class _Store(Protocol):
    def write(self, top: int, rows: NDArray[np.uint8]) -> None:
        """Put whole rows in their place."""


class _ZarrStore:
    def __init__(self, path: Path, shape: tuple[int, int], *, new: bool) -> None:
        zarr = vendor.zarr()
        self._array = (
            zarr.create_array(path, shape=shape, chunks=(_CHUNK, _CHUNK), dtype="uint8")
            if new
            else zarr.open_array(path, mode="r+")
        )

    def write(self, top: int, rows: NDArray[np.uint8]) -> None:
        self._array[top : top + len(rows)] = rows


class _NpyStore:
    """Write, not map, an NPY file: on a full disk a mapped file kills the process."""

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
