"""Label maps too large to hold: written from above to below, gone on with after a kill."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.errors import BadInput, OutputError
from unetrt.files import write_text

__all__ = ["SUFFIXES", "LabelFile"]

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
