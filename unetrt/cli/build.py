"""`unetrt build`: an ONNX file in, a TensorRT engine and its precision receipt out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unetrt.cli.output import emit, table
from unetrt.cli.shell import AsJson

if TYPE_CHECKING:
    from unetrt.artifacts import Engine
    from unetrt.progress import Progress
    from unetrt.tensors import ShapeRange

__all__ = ["build"]

_MIB = 2**20


def build(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    out: Annotated[Path, typer.Option("--out", help="Engine file to write.")],
    backend: Annotated[str, typer.Option(help="auto, tensorrt or tensorrt-rtx.")] = "auto",
    batch: Annotated[
        str | None,
        typer.Option(help="Images a run, N or MIN:OPT:MAX; by default 1:1:8, or the model's own."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            help="Height and width, or HEIGHTxWIDTH, each N or MIN:OPT:MAX; "
            "by default 256:256:512, or the model's own."
        ),
    ] = None,
    tf32: Annotated[bool, typer.Option(help="Let FP32 convolutions use TF32.")] = False,
    workspace: Annotated[
        int | None, typer.Option(help="Scratch memory that a layer may take, MiB.")
    ] = None,
    level: Annotated[
        int | None, typer.Option(help="0 builds fast, 5 runs fastest; the library's own is 3.")
    ] = None,
    hardware_compatible: Annotated[
        str | None,
        typer.Option(help="ampere-plus or same-compute-capability: for other GPUs too (TensorRT)."),
    ] = None,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="For newer versions too (TensorRT).")
    ] = False,
    refittable: Annotated[
        bool, typer.Option("--refittable", help="New weights can be put in: unetrt refit.")
    ] = False,
    stripped: Annotated[
        bool, typer.Option("--stripped", help="Leave the weights out, for unetrt refit to put in.")
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Compute capability such as 8.6, current or all; once for each (TensorRT-RTX)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build a TensorRT engine from an ONNX file.

    Without a GPU, it is built for TensorRT-RTX. Shows what its convolutions compute in.
    """
    from unetrt.artifacts import OnnxModel
    from unetrt.convert.to_engine import EngineSpec, build_engine, choose_backend
    from unetrt.errors import BadInput
    from unetrt.progress import ConsoleProgress
    from unetrt.tensors import ShapeRange

    if out.suffix != ".engine":
        raise BadInput(f"Cannot write {out}", expected="a name ending in .engine")
    height, width = (None, None) if size is None else _sides(size)
    spec = EngineSpec(
        backend=choose_backend(backend),
        batch=None if batch is None else ShapeRange.parse(batch),
        height=height,
        width=width,
        tf32=tf32,
        workspace_bytes=None if workspace is None else workspace * _MIB,
        optimization_level=level,
        hardware_compatibility=hardware_compatible,
        version_compatible=version_compatible,
        refittable=refittable,
        stripped=stripped,
        targets=tuple(target or ()),
    )
    onnx_model = OnnxModel.load(model)
    progress = ConsoleProgress()
    with (
        progress.step("build", f"Building {onnx_model.precision} for {spec.backend}"),
        _heartbeat(progress),
    ):
        engine = build_engine(onnx_model, out, spec)
    emit(
        {
            "engine": str(engine.path),
            "sha256": engine.sha256,
            "backend": engine.backend,
            "backend_version": engine.backend_version,
            "receipt": engine.receipt.to_json(),
            "warnings": list(engine.warnings),
        },
        as_json=as_json,
        shown=[
            table("Precision receipt", ["", ""], _rows(engine)),
            *(f"warning: {warning}" for warning in engine.warnings),
            f"Wrote {engine.path}",
        ],
    )


def _rows(engine: Engine) -> list[list[str]]:
    """Return the receipt for a table."""
    receipt, inspection = engine.receipt, engine.receipt.inspection
    return [
        ["backend", f"{engine.backend} {engine.backend_version}"],
        *(
            [f"{kind} FLOPs in {name}", f"{share:.1%}"]
            for kind, shares in (
                ("convolution", receipt.convolution_share),
                ("matmul", receipt.matmul_share),
            )
            for name, share in shares.items()
        ),
        *([f"kept in {own}", name] for name, own in receipt.kept.items()),
        ["TF32 allowed", "yes" if receipt.tf32 else "no"],
        ["casts", str(receipt.casts)],
        [
            "reformats",
            "known on a GPU" if inspection is None else str(inspection.reformats),
        ],
        ["GFLOP a run", f"{receipt.convolution_flops / 1e9:.2f}"],
        ["builder's warnings", str(len(engine.warnings))],
        ["size", f"{engine.path.stat().st_size / _MIB:.1f} MiB"],
    ]


def _sides(text: str) -> tuple[ShapeRange, ShapeRange]:
    """Read "256:512:1024", or "544x960" for a height and a width that differ."""
    from unetrt.errors import BadInput
    from unetrt.tensors import ShapeRange

    sides = [ShapeRange.parse(side) for side in text.split("x")]
    if len(sides) > 2:  # noqa: PLR2004
        raise BadInput("Cannot read --size", got=repr(text), expected="SIDE or HEIGHTxWIDTH")
    return sides[0], sides[-1]


@contextmanager
def _heartbeat(progress: Progress) -> Iterator[None]:
    """Show that a long build goes on: builders' own progress reports come late or never."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(1.0):
            progress.tick("still building")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
