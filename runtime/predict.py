"""Predict label maps of images and folders; reading and writing go on beside the network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tifffile
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.data.reading import (
    IMAGE_SUFFIXES,
    VOLUME_SUFFIXES,
    ImageFile,
    data_files,
    open_image_file,
    read_pages,
    stem_of,
)
from unetrt.data.writing import LabelFile, overlay, write_image, write_nifti_labels
from unetrt.errors import BadInput, DataError, OutputError, UnetrtError
from unetrt.files import output_folder, refuse_overwriting, replacing
from unetrt.normalization import PixelScale
from unetrt.progress import Progress

from .session import Session, open_session
from .session_spec import SessionSpec

__all__ = ["PredictSpec", "Prediction", "Summary", "pipelined", "predict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictSpec:
    """Choose what to write of each image, and how to open the artifact.

    Attributes:
        session: backend, precision, memory, tiling and test-time augmentation.
        overlays: draw the classes over each image, in overlays/.
        probabilities: write them too, as float32 NPY [height, width, classes] in probabilities/.
        held_pixels: of the largest image that is held whole; of larger ones, and of Zarr arrays,
            the labels alone are written, part by part.
    """

    session: SessionSpec = field(default_factory=SessionSpec)
    overlays: bool = True
    probabilities: bool = False
    held_pixels: int = 1 << 26


@dataclass(frozen=True, slots=True)
class Summary:
    """Count the images that were segmented, and name those that were not.

    Attributes:
        images: label maps that were written; a stack has several.
        files: files that were asked for.
        failed: why, of each file that could not be predicted, by its path.
        skipped: files in the given folders that are no images by their names.
        out: the folder that was written into.
        session: what ran the network, and in which type: `Session.info`.
    """

    images: int
    files: int
    failed: Mapping[str, str]
    skipped: tuple[Path, ...]
    out: Path
    session: Mapping[str, Any]


def predict(
    artifact: Session | OnnxModel | Engine | str | Path,
    images: str | Path | Sequence[str | Path],
    out: str | Path,
    spec: PredictSpec | None = None,
    *,
    progress: Progress | None = None,
) -> Summary:
    """Write a label map, and an overlay, of each image.

    A stack becomes a stack of labels, a NIfTI volume one in the same space; where the network's
    pixels are normalised, all pages of a file are by the same statistics. A file that cannot be
    read does not stop the rest. The labels of images above `held_pixels`, and of Zarr arrays, are
    written part by part to a file of the same kind or a Zarr array; called again with the same
    arguments, an interrupted one resumes.

    Args:
        artifact: an ONNX file or an engine; or a session, which is left open.
        images: images, stacks, volumes, Zarr arrays, or folders of them.
        out: folder for predictions/, overlays/ and probabilities/.
        spec: what to write, and what to open the artifact with.
        progress: is told of every file.

    Raises:
        ArtifactError, NoDevice, MissingDependency: the artifact cannot be opened.
        DataError: there is no such image, or two would be written to the same file.
        BadInput: probabilities are asked for of an image that is written part by part.
        OutputError: the folder cannot be written, or an image lies where its output would.

    >>> summary = predict("model.onnx", "cells/images", "predicted")
    >>> summary.images, dict(summary.failed)
    (6, {})
    >>> sorted(path.name for path in summary.out.iterdir())
    ['overlays', 'predictions']
    """
    spec, progress, out = spec or PredictSpec(), progress or Progress(), Path(out)
    given = [Path(one) for one in ([images] if isinstance(images, (str, Path)) else images)]
    files = _files(given)
    skipped = tuple(path for one in given for path in _no_images(one))
    failed: dict[str, str] = {}
    refuse_overwriting(_outputs(out, files), files)
    whole, large, refused = _by_size(files, spec.held_pixels)
    if spec.probabilities and large:
        raise BadInput(
            f"Cannot write the probabilities of {large[0].path}",
            got="an image that is read and written part by part",
            hint="predict it without `probabilities`",
        )
    with ExitStack() as stack:
        if isinstance(artifact, Session):
            session = artifact
        else:
            session = stack.enter_context(open_session(artifact, spec.session))
        output_folder(out)
        stack.enter_context(progress.step("predict", f"Segmenting {len(files)} files"))
        job = Prediction(session, out, overlays=spec.overlays, probabilities=spec.probabilities)
        count = 0

        def fail(path: Path, error: UnetrtError) -> None:
            failed[str(path)] = str(error)
            progress.say(f"skipped {path.name}: {error}")

        for path, error in refused:
            fail(path, error)
        results = pipelined(whole, read=job.read, work=job.segment, write=job.write)
        for number, (path, result) in enumerate(results, start=1):
            if isinstance(result, UnetrtError):
                fail(path, result)
            else:
                count += result
            rate = count / max(progress.step_s, 1e-6)
            progress.tick(f"{number}/{len(files)} files, {rate:.1f} images/s")
        for image in large:
            try:
                _predict_large(session, image, out, progress)
                count += 1
            except OutputError:
                raise
            except UnetrtError as error:
                fail(image.path, error)
        return Summary(count, len(files), failed, skipped, out, session.info)


_OUTPUT_SUFFIXES = (".png", ".tif", ".nii.gz", *LabelFile.SUFFIXES)


def _outputs(out: Path, files: Iterable[Path]) -> Iterator[Path]:
    """Yield the names that labels, overlays and probabilities of the files may be written to.

    How many pages a file has, and so which of them, only reading it would tell.
    """
    for folder in ("predictions", "overlays", "probabilities"):
        within = (out / folder).resolve()
        yield from (within, *within.parents)  # none of them is a Zarr array that is read
    for stem in map(stem_of, files):
        yield from (out / "predictions" / f"{stem}{suffix}" for suffix in _OUTPUT_SUFFIXES)
        yield out / "overlays" / f"{stem}.png"
        yield from (out / "overlays" / stem).glob("*.png")
        yield out / "probabilities" / f"{stem}.npy"


def _no_images(given: Path) -> list[Path]:
    """Return the files of a folder that `data_files` leaves out, hidden ones aside."""
    if given.suffix == ".zarr" or not given.is_dir():
        return []
    known = set(data_files(given))
    return sorted(
        path
        for path in given.iterdir()
        if path.is_file() and path not in known and not path.name.startswith(".")
    )


def _files(images: Sequence[Path]) -> list[Path]:
    files: dict[str, Path] = {}
    for given in images:
        if not given.exists():
            raise DataError(f"There is no image or folder {given}", hint="check the name")
        array = given.suffix == ".zarr"
        for path in data_files(given) if given.is_dir() and not array else [given]:
            other = files.setdefault(stem_of(path), path)
            if other != path:
                raise DataError(
                    f"{path} and {other} would be written to the same file",
                    hint="segment them into different folders",
                )
    if not files:
        raise DataError(
            f"There are no images in {', '.join(map(str, images))}",
            expected=f"files ending in {', '.join((*IMAGE_SUFFIXES, *VOLUME_SUFFIXES, '.zarr'))}",
        )
    return list(files.values())


def _by_size(
    files: Iterable[Path], held_pixels: int
) -> tuple[list[Path], list[ImageFile], list[tuple[Path, UnetrtError]]]:
    """Part the files into those that are held whole, those that are not, and unusable ones."""
    whole: list[Path] = []
    large: list[ImageFile] = []
    refused: list[tuple[Path, UnetrtError]] = []
    for path in files:
        try:
            image = open_image_file(path)
        except UnetrtError as error:
            image = None  # a stack; or what is wrong, reading it whole says
            if path.suffix == ".zarr":
                refused.append((path, error))
                continue
        held = image is None or image.shape[0] * image.shape[1] <= held_pixels
        if image is None or (held and path.suffix != ".zarr"):
            whole.append(path)
        else:
            large.append(image)
    return whole, large, refused


def _predict_large(session: Session, image: ImageFile, out: Path, progress: Progress) -> None:
    """Write the labels of one image, a row of tiles at a time, from where it was left."""
    suffix = image.path.suffix if image.path.suffix in LabelFile.SUFFIXES else ".zarr"
    segmenter = session.segmenter()
    height, width = image.shape[:2]
    tiling = segmenter.tiling(height, width)
    seen, normalization = image.path.stat(), session.artifact.normalization
    labels = LabelFile(
        out / "predictions" / f"{image.path.stem}{suffix}",
        height,
        width,
        made_from={
            "artifact": session.artifact.sha256,
            "tiling": session.spec.tiling,
            "tta": session.spec.tta,
            "normalization": None if normalization is None else normalization.to_json(),
            "computes_in": session.info["computes_in"],
            "image": [str(image.path.resolve()), seen.st_size, seen.st_mtime_ns],
        },
    )
    if labels.done:
        progress.say(f"{image.path.name}: resuming after row {labels.done} of {height}")
    first = sum(row.end <= labels.done for row in tiling.rows)
    size = f"{tiling.tile[0]} x {tiling.tile[1]}"

    def say(done: int) -> None:
        progress.tick(f"{image.path.name}: {done}/{tiling.count} tiles of {size}")

    try:
        if normalization is not None:
            progress.tick(f"{image.path.name}: reading all of it, for its statistics")
        scale = session.pixel_scale([image])
        for top, rows in segmenter.labels(image, scale=scale, first=first, on_tile=say):
            labels.append(rows[max(0, labels.next_row - top) :])
    except OutputError:
        raise  # what is written stays: it resumes once there is room
    except UnetrtError:
        labels.discard()
        raise
    labels.finish()


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


class ReadFile(NamedTuple):
    """The pages of a file, and their statistics where the network wants pixels normalised."""

    path: Path
    pages: Pages
    scale: PixelScale | None


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

    def read(self, path: Path) -> ReadFile:
        """Read an image, or all of a stack or volume, and its statistics."""
        pages = read_pages(path)
        return ReadFile(path, pages, self._session.pixel_scale(pages))

    def segment(self, given: ReadFile) -> PredictedFile:
        """Segment each page."""
        session, (path, pages, scale) = self._session, given
        if not self._probabilities:
            labels = [session.segment(page, scale=scale) for page in pages]
            return PredictedFile(path, pages, labels, [])
        found = [session.probabilities(page, scale=scale) for page in pages]
        classes = session.segmenter("probabilities").classes_of
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
