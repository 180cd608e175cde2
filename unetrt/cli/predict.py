"""`unetrt predict`: write label maps and overlays of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import unetrt
from unetrt.cli.options import Fast, MemoryOption
from unetrt.cli.output import ShownProgress, emit
from unetrt.cli.shell import AsJson, translated
from unetrt.errors import CheckFailed
from unetrt.runtime import SessionSpec
from unetrt.runtime.predict import PredictSpec, Summary

__all__ = ["predict"]


def predict(
    artifact: Annotated[Path, typer.Argument(help="ONNX file or engine.")],
    images: Annotated[list[Path], typer.Argument(help="Images, stacks, volumes, folders of them.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for predictions/ and overlays/.")
    ] = Path("predicted"),
    backend: Annotated[
        str, typer.Option(help="auto, openvino, onnxruntime, or that with -cuda or -tensorrt.")
    ] = "auto",
    fast: Fast = False,
    memory: MemoryOption = None,
    tiling: Annotated[
        str, typer.Option(help='"exact", or "blended": overlapping tiles, averaged; not exact.')
    ] = "exact",
    tta: Annotated[
        bool, typer.Option("--tta", help="Average over mirrors and turns: 4 or 8 times the work.")
    ] = False,
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
    the same command resumes what was interrupted.
    """
    session = SessionSpec(
        backend=backend,
        precision="fast" if fast else "own",
        memory_bytes=memory or SessionSpec().memory_bytes,
        tiling=tiling,
        tta=tta,
    )
    spec = PredictSpec(session=session, overlays=overlays, probabilities=probabilities)
    summary = unetrt.predict(artifact, images, out, spec, progress=ShownProgress())
    failure = CheckFailed(
        f"{len(summary.failed)} of {summary.files} files could not be segmented",
        got=next(iter(summary.failed.values()), "").rstrip("."),
    )
    emit(
        {
            "images": summary.images,
            "failed": {path: translated(why) for path, why in summary.failed.items()},
            "skipped": list(map(str, summary.skipped)),
            "out": str(out),
            "session": dict(summary.session),
        },
        as_json=as_json,
        shown=[_sentence(summary)],
        failure=failure if summary.failed else None,
    )


def _sentence(summary: Summary) -> str:
    info, done = summary.session, summary.files - len(summary.failed)
    did = f"Segmented {summary.images} images of {done} files into {summary.out}"
    left = [(len(summary.failed), "failed"), (len(summary.skipped), "skipped, no images by name")]
    computed = f"with {info['backend']}, computed in {info['computes_in']}"
    if info["precision"] == "fp16" and info["computes_in"] == "float32":
        computed += ", from weights rounded to float16"
    if "tta" in info:
        computed += f", the {info['tta']}"
    counted = "".join(f"; {count} {word}" for count, word in left if count)
    return f"{did} {computed}" + (f" ({info['fast']})" if "fast" in info else "") + counted
