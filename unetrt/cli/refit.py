"""`unetrt refit`: put new weights into an engine that was built to take them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unetrt.cli.output import ShownProgress, emit
from unetrt.cli.shell import AsJson
from unetrt.convert.refit import refit_engine

__all__ = ["refit"]


def refit(
    engine: Annotated[Path, typer.Argument(help="Engine built with --refittable or --stripped.")],
    model: Annotated[Path, typer.Argument(help="ONNX file of the same network.")],
    out: Annotated[Path, typer.Option("--out", help="Engine file to write.")],
    as_json: AsJson = False,
) -> None:
    """Put an ONNX file's weights into an engine.

    Nothing is built again: the network must be the one that the engine was built from. Needs the
    GPU it was built for.
    """
    progress = ShownProgress()
    with progress.step("refit", f"Putting the weights of {model.name} into {engine.name}"):
        new = refit_engine(engine, model, out)
    emit(
        {"engine": str(new.path), "sha256": new.sha256, "source": new.source},
        as_json=as_json,
        shown=[f"Wrote {new.path}"],
    )
