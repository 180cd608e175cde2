"""`unetrt build`: build a TensorRT engine from an ONNX file, and show its precision receipt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

import unetrt
from unetrt.artifacts import Engine, OnnxModel
from unetrt.cli.options import SizeRangeOption, read_memory, read_range
from unetrt.cli.output import ShownProgress, emit, table
from unetrt.cli.shell import AsJson
from unetrt.convert.engine_spec import EngineSpec
from unetrt.convert.to_engine import choose_backend, engine_path
from unetrt.progress import Progress
from unetrt.tensors import ShapeRange

__all__ = ["build"]

_MIB = 2**20


def build(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Engine file to write; by default beside MODEL, after it."),
    ] = None,
    backend: Annotated[
        Literal["auto", "tensorrt", "tensorrt-rtx"], typer.Option(help="Whose engine.")
    ] = "auto",
    batch: Annotated[
        ShapeRange | None,
        typer.Option(
            parser=read_range,
            metavar="RANGE",
            help="Images a run, N or MIN:OPT:MAX; by default 1:1:8, or the model's own.",
        ),
    ] = None,
    size: SizeRangeOption = None,
    tf32: Annotated[bool, typer.Option(help="Let FP32 convolutions use TF32.")] = False,
    workspace: Annotated[
        int | None,
        typer.Option(
            parser=read_memory,
            metavar="GIB",
            help="Scratch memory that a layer may take, such as 2 or 512MiB.",
        ),
    ] = None,
    level: Annotated[
        int | None, typer.Option(help="0 builds fast, 5 runs fastest; the library's own is 3.")
    ] = None,
    hardware_compatible: Annotated[
        Literal["ampere-plus", "same-compute-capability"] | None,
        typer.Option(help="For other GPUs too (TensorRT)."),
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

    Without a GPU, it is built for TensorRT-RTX. Shows what its convolutions compute in. Without
    --size, for 256 to 512 pixels, or the model's own size.
    """
    spec = EngineSpec(
        backend=choose_backend(backend),
        batch=batch,
        height=None if size is None else size.height,
        width=None if size is None else size.width,
        tf32=tf32,
        workspace_bytes=workspace,
        optimization_level=level,
        hardware_compatibility=hardware_compatible,
        version_compatible=version_compatible,
        refittable=refittable,
        stripped=stripped,
        targets=tuple(target or ()),
    )
    path = engine_path(out or model.with_suffix(".engine"))
    onnx_model = OnnxModel.load(model)
    progress = ShownProgress()
    with (
        progress.step("build", f"Building {onnx_model.precision} for {spec.backend}"),
        _heartbeat(progress),
    ):
        engine = unetrt.build(onnx_model, path, spec)
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


@contextmanager
def _heartbeat(progress: Progress) -> Iterator[None]:
    """Show that a long build is at work: builders' own progress reports come late or never."""
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
