"""Predict label maps of whole folders of images; reading and writing go on beside the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetrt.data.reading import VOLUME_SUFFIXES, read_pages, stem_of
from unetrt.data.writing import overlay, write_image, write_nifti_labels
from unetrt.errors import OutputError, UnetrtError
from unetrt.files import replacing

from . import Session

__all__ = ["Prediction", "pipelined"]

Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")
Written = TypeVar("Written")

_AHEAD = 4
"""Items read before their turn, and items made that wait to be written: memory is bounded."""


def pipelined(
    items: Iterable[Item],
    *,
    read: Callable[[Item], Read],
    work: Callable[[Read], Made],
    write: Callable[[Made], Written],
) -> Iterator[tuple[Item, Written | UnetrtError]]:
    """Read, work on and write each item; yield it with what `write` returned, in order.

    `work` runs in the caller's thread, `read` and `write` in others. An item that fails is yielded
    with its error and does not stop the rest, but for a place that cannot be written.

    Raises:
        OutputError: `write` could not.
    """
    with ThreadPoolExecutor(2, "unetrt") as pool:
        coming = iter(items)
        reading: deque[tuple[Item, Future[Read]]] = deque()
        writing: deque[tuple[Item, Future[Written] | UnetrtError]] = deque()

        try:
            while True:
                for item in islice(coming, _AHEAD - len(reading)):
                    reading.append((item, pool.submit(read, item)))
                if not reading:
                    break
                item, future = reading.popleft()
                try:
                    writing.append((item, pool.submit(write, work(future.result()))))
                except UnetrtError as error:
                    writing.append((item, error))
                while len(writing) > _AHEAD:
                    yield _finished(*writing.popleft())
            while writing:
                yield _finished(*writing.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finished(item: Item, result: Future[Any] | UnetrtError) -> tuple[Item, Any]:
    if isinstance(result, UnetrtError):
        return item, result
    try:
        return item, result.result()
    except OutputError:
        raise
    except UnetrtError as error:
        return item, error


Pages = list[NDArray[np.generic]]


class PredictedFile(NamedTuple):
    """The pages of a file and what the network says of each."""

    path: Path
    pages: Pages
    labels: list[NDArray[np.uint8]]
    probabilities: list[NDArray[np.float32]]


class Prediction:
    """Reads, segments and writes files; reading and writing may be done in other threads.

    Args:
        session: what segments.
        out: folder for predictions/, overlays/ and probabilities/.
        overlays: draw them.
        probabilities: write them.
    """

    def __init__(self, session: Session, out: Path, *, overlays: bool, probabilities: bool) -> None:
        self._session = session
        self._out = out
        self._overlays = overlays
        self._probabilities = probabilities

    def read(self, path: Path) -> tuple[Path, Pages]:
        """Read an image, or all of a stack or volume."""
        return path, read_pages(path)

    def segment(self, given: tuple[Path, Pages]) -> PredictedFile:
        """Segment each page."""
        path, pages = given
        if not self._probabilities:
            return PredictedFile(path, pages, [self._session.segment(page) for page in pages], [])
        found = [self._session.probabilities(page) for page in pages]
        classes = self._session.segmenter("probabilities").classes_of
        return PredictedFile(path, pages, [classes(p) for p in found], found)

    def write(self, made: PredictedFile) -> int:
        """Write what was asked for; return how many images it was."""
        name = stem_of(made.path)
        stack = len(made.pages) > 1
        if made.path.name.lower().endswith(VOLUME_SUFFIXES):
            out = self._out / "predictions" / f"{name}.nii.gz"
            write_nifti_labels(out, made.path, made.labels)
        elif stack:
            with replacing(self._out / "predictions" / f"{name}.tif") as temporary:
                tifffile.imwrite(
                    temporary, np.stack(made.labels), photometric="minisblack", compression="zlib"
                )
        else:
            write_image(self._out / "predictions" / f"{name}.png", made.labels[0])
        if self._overlays:
            for number, (page, label) in enumerate(zip(made.pages, made.labels, strict=True)):
                file = Path(name) / f"{number:04d}.png" if stack else Path(f"{name}.png")
                write_image(self._out / "overlays" / file, overlay(page, label))
        if made.probabilities:
            with replacing(self._out / "probabilities" / f"{name}.npy") as temporary:
                np.save(temporary, np.stack(made.probabilities) if stack else made.probabilities[0])
        return len(made.pages)
