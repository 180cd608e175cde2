"""`unetrt predict`: images in, label maps and overlays out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unetrt.commands.shell import AsJson, emit, guarded

__all__ = ["predict"]


@guarded
def predict(
    artifact: Annotated[Path, typer.Argument(help="ONNX file or engine.")],
    inputs: Annotated[list[Path], typer.Argument(help="Images and folders of images.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for predictions/ and overlays/.")],
    backend: Annotated[str, typer.Option(help="auto, onnxruntime or openvino.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Segment images into label maps and overlays.

    An image that cannot be read is reported and does not stop the rest.
    """
    from unetrt.data.images import read_image, write_image
    from unetrt.data.overlay import overlay
    from unetrt.errors import DataError, OutputError, UnetrtError
    from unetrt.files import output_folder
    from unetrt.progress import Progress
    from unetrt.runtime import SessionSpec, open_session

    progress = Progress()
    files = _files(inputs)
    failed: dict[str, str] = {}
    with (
        open_session(artifact, SessionSpec(backend=backend)) as session,
        progress.step("predict", f"Segmenting {len(files)} images"),
    ):
        output_folder(out)
        for number, path in enumerate(files, start=1):
            try:
                image = read_image(path)
                label = session.segment(image)
                write_image(out / "predictions" / f"{path.stem}.png", label)
                write_image(out / "overlays" / f"{path.stem}.png", overlay(image, label))
            except OutputError:
                raise
            except UnetrtError as error:
                failed[str(path)] = str(error)
                progress.say(f"skipped {path.name}: {error}")
            progress.tick(f"{number}/{len(files)} images")
        info = session.info
    done = len(files) - len(failed)
    failure = DataError(
        f"{len(failed)} of {len(files)} images could not be segmented",
        got=next(iter(failed.values()), "").rstrip("."),
    )
    emit(
        {"images": done, "failed": failed, "out": str(out), "session": info},
        as_json=as_json,
        shown=[f"Segmented {done} of {len(files)} images into {out} with {info['backend']}"],
        failure=failure if failed else None,
    )


def _files(inputs: list[Path]) -> list[Path]:
    from unetrt.data.images import SUFFIXES, image_files
    from unetrt.errors import DataError

    files: dict[str, Path] = {}
    for given in inputs:
        if not given.exists():
            raise DataError(f"There is no image or folder {given}", hint="check the name")
        for path in image_files(given) if given.is_dir() else [given]:
            other = files.setdefault(path.stem, path)
            if other != path:
                raise DataError(
                    f"{path} and {other} would be written to the same file",
                    hint="segment them into different folders",
                )
    if not files:
        raise DataError(
            f"There are no images in {', '.join(map(str, inputs))}",
            expected=f"files ending in {', '.join(SUFFIXES)}",
        )
    return list(files.values())
