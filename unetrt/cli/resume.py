"""`unetrt resume`: continue a training that was interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import unetrt
from unetrt.cli.output import ShownProgress
from unetrt.cli.shell import AsJson
from unetrt.cli.train import emit_result, resumable

__all__ = ["resume"]


def resume(
    run: Annotated[Path, typer.Argument(help="Folder that `unetrt train` left.")],
    data: Annotated[
        str | None, typer.Option("--data", help="Where the data lie, if they were moved.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Continue a training that was interrupted.

    RUN/plan.json holds all that it needs. With --epochs it ends on a CPU with the same weights as
    if nothing had happened.
    """
    progress = ShownProgress()
    with resumable(run, progress):
        result = unetrt.resume(run, data=data, progress=progress)
    emit_result(result, as_json=as_json)
