"""`unetrt build`: an ONNX file in, a TensorRT engine and its precision receipt out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unetrt.commands.shell import AsJson, emit, guarded, table

__all__ = ["build"]


@guarded
def build(
    model: Annotated[Path, typer.Argument(help="ONNX file.")],
    out: Annotated[Path, typer.Option("--out", help="Engine file to write.")],
    backend: Annotated[str, typer.Option(help="auto, tensorrt or tensorrt-rtx.")] = "auto",
    batch: Annotated[str, typer.Option(help="Images a run, N or MIN:OPT:MAX.")] = "1:1:8",
    size: Annotated[
        str | None,
        typer.Option(help="Height and width; by default 256:256:512, or the model's own."),
    ] = None,
    tf32: Annotated[bool, typer.Option(help="Let FP32 convolutions use TF32.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build a TensorRT engine from an ONNX file.

    Without a GPU, it is built for TensorRT-RTX. Shows what its convolutions compute in.
    """
    from unetrt.artifacts import OnnxModel
    from unetrt.convert.to_engine import EngineSpec, build_engine, choose_backend, default_side
    from unetrt.errors import BadInput
    from unetrt.tensors import ShapeRange

    if out.suffix != ".engine":
        raise BadInput(f"Cannot write {out}", expected="a name ending in .engine")
    chosen = choose_backend(backend)
    images, sides = ShapeRange.parse(batch), ShapeRange.parse(size) if size else None
    onnx_model = OnnxModel.load(model)
    height, width = (sides or default_side(own) for own in onnx_model.inputs[0].shape[1:3])
    spec = EngineSpec(backend=chosen, batch=images, height=height, width=width, tf32=tf32)
    from unetrt.progress import Progress

    progress = Progress()
    with progress.step("build", f"Building {onnx_model.precision} for {chosen}"):
        engine = build_engine(onnx_model, out, spec)
    receipt = engine.receipt
    rows = [
        ["backend", f"{engine.backend} {engine.backend_version}"],
        *(
            [f"convolution FLOPs in {name}", f"{share:.1%}"]
            for name, share in receipt["convolution_share"].items()
        ),
        ["TF32 allowed", "yes" if receipt["tf32"] else "no"],
        ["casts", str(receipt["casts"])],
        ["GFLOP a run", f"{receipt['convolution_flops'] / 1e9:.2f}"],
        ["builder's warnings", str(len(engine.made_with["warnings"]))],
        ["size", f"{engine.path.stat().st_size / 2**20:.1f} MiB"],
    ]
    emit(
        {
            "engine": str(engine.path),
            "sha256": engine.sha256,
            "backend": engine.backend,
            "backend_version": engine.backend_version,
            "receipt": receipt,
        },
        as_json=as_json,
        shown=[table("Precision receipt", ["", ""], rows), f"Wrote {engine.path}"],
    )
