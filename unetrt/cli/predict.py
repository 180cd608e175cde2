"""`unetrt predict`: images in, label maps and overlays out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unetrt.cli.output import emit
from unetrt.cli.shell import AsJson

if TYPE_CHECKING:
    from unetrt.data.reading import ImageFile
    from unetrt.progress import Progress
    from unetrt.runtime import Session

__all__ = ["predict"]

_LARGE = 1 << 26
"""Pixels of an image that is read and written part by part: 8192 x 8192."""


def predict(
    artifact: Annotated[Path, typer.Argument(help="ONNX file or engine.")],
    inputs: Annotated[list[Path], typer.Argument(help="Images, stacks, volumes, folders of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for predictions/ and overlays/.")],
    backend: Annotated[
        str, typer.Option(help="auto, openvino, onnxruntime, or that with -cuda or -tensorrt.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help='The file\'s "own", or "fast": less where this machine gains by it.')
    ] = "own",
    memory: Annotated[
        float, typer.Option(min=0.001, help="GiB the network may work in; larger images are tiled.")
    ] = 2.0,
    tiling: Annotated[
        str, typer.Option(help='"exact", or "blended": overlapping tiles, averaged; not exact.')
    ] = "exact",
    overlays: Annotated[bool, typer.Option(help="Draw the classes over each image.")] = True,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write probabilities/ too, as NPY.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Segment images into label maps and overlays.

    A stack becomes a stack of labels, a NIfTI volume one in the same space. An image that cannot
    be read is reported and does not stop the rest. Of images above 64 megapixels, and of Zarr
    arrays, the labels alone are written, part by part, to a file of the same kind or a Zarr array;
    the same command goes on with what was interrupted.
    """
    from unetrt.errors import DataError, UnetrtError
    from unetrt.files import output_folder
    from unetrt.progress import ConsoleProgress
    from unetrt.runtime import SessionSpec, open_session
    from unetrt.runtime.predict import Prediction, pipelined

    progress = ConsoleProgress()
    files = _files(inputs)
    failed: dict[str, str] = {}
    images = 0
    spec = SessionSpec(
        backend=backend, precision=precision, memory_bytes=int(memory * 2**30), tiling=tiling
    )
    with (
        open_session(artifact, spec) as session,
        progress.step("predict", f"Segmenting {len(files)} files"),
    ):
        output_folder(out)
        job = Prediction(session, out, overlays=overlays, probabilities=probabilities)
        whole, large = _by_size(files)
        results = pipelined(whole, read=job.read, work=job.segment, write=job.write)
        for number, (path, result) in enumerate(results, start=1):
            if isinstance(result, UnetrtError):
                failed[str(path)] = str(result)
                progress.say(f"skipped {path.name}: {result}")
            else:
                images += result
            rate = images / max(progress.step_s, 1e-6)
            progress.tick(f"{number}/{len(files)} files, {rate:.1f} images/s")
        for image in large:
            try:
                _segment_large(session, image, out, progress)
                images += 1
            except DataError as error:
                failed[str(image.path)] = str(error)
                progress.say(f"stopped {image.path.name}: {error}")
        info = session.info
    failure = DataError(
        f"{len(failed)} of {len(files)} files could not be segmented",
        got=next(iter(failed.values()), "").rstrip("."),
    )
    emit(
        {"images": images, "failed": failed, "out": str(out), "session": info},
        as_json=as_json,
        shown=[_summary(images, len(files) - len(failed), out, info)],
        failure=failure if failed else None,
    )


def _summary(images: int, files: int, out: Path, info: dict[str, Any]) -> str:
    did = f"Segmented {images} images of {files} files into {out} with {info['backend']}"
    computed = f"computed in {info['computes_in']}"
    if info["precision"] == "fp16" and info["computes_in"] == "float32":
        computed += ", from weights rounded to float16"
    return f"{did}, {computed}" + (f" ({info['fast']})" if "fast" in info else "")


def _segment_large(session: Session, image: ImageFile, out: Path, progress: Progress) -> None:
    """Write the labels of one image row of tiles by row of tiles, from where it was left."""
    from unetrt.data.writing import LabelFile

    suffix = image.path.suffix if image.path.suffix in LabelFile.SUFFIXES else ".zarr"
    segmenter = session.segmenter()
    height, width = image.shape[:2]
    tiling = segmenter.tiling(height, width)
    seen = image.path.stat()
    labels = LabelFile(
        out / "predictions" / f"{image.path.stem}{suffix}",
        height,
        width,
        made_from={
            "artifact": session.artifact.sha256,
            "tiling": session.spec.tiling,
            "computes_in": session.info["computes_in"],
            "image": [str(image.path.resolve()), seen.st_size, seen.st_mtime_ns],
        },
    )
    if labels.done:
        progress.say(f"{image.path.name}: going on after row {labels.done} of {height}")
    first = sum(row.end <= labels.done for row in tiling.rows)

    size = f"{tiling.tile[0]} x {tiling.tile[1]}"

    def say(done: int) -> None:
        progress.tick(f"{image.path.name}: {done}/{tiling.count} tiles of {size}")

    for top, rows in segmenter.labels(image, first=first, on_tile=say):
        labels.append(rows[max(0, labels.next_row - top) :])
    labels.finish()


def _by_size(files: list[Path]) -> tuple[list[Path], list[ImageFile]]:
    """Part the files into those that are held whole and those that are not."""
    from unetrt.data.reading import open_image_file
    from unetrt.errors import DataError

    whole: list[Path] = []
    large: list[ImageFile] = []
    for path in files:
        try:
            image = open_image_file(path)
        except DataError:
            image = None  # a stack; or what is wrong, reading it whole says
            if path.suffix == ".zarr":
                raise
        held = image is None or image.shape[0] * image.shape[1] <= _LARGE
        if image is None or (held and path.suffix != ".zarr"):
            whole.append(path)
        else:
            large.append(image)
    return whole, large


def _files(inputs: list[Path]) -> list[Path]:
    from unetrt.data.reading import IMAGE_SUFFIXES, VOLUME_SUFFIXES, data_files, stem_of
    from unetrt.errors import DataError

    files: dict[str, Path] = {}
    for given in inputs:
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
            f"There are no images in {', '.join(map(str, inputs))}",
            expected=f"files ending in {', '.join((*IMAGE_SUFFIXES, *VOLUME_SUFFIXES, '.zarr'))}",
        )
    return list(files.values())
