"""`unetrt convert`: a Keras model in, an ONNX file out, in the precision asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unetrt.commands.shell import AsJson, emit, guarded, table

if TYPE_CHECKING:
    from unetrt.artifacts import OnnxModel
    from unetrt.progress import Progress

__all__ = ["convert", "convert_file"]


@guarded
def convert(
    model: Annotated[Path, typer.Argument(help="MODEL.keras, or an ONNX file to retype.")],
    out: Annotated[Path, typer.Option("--out", help="ONNX file to write.")],
    precision: Annotated[str, typer.Option(help="fp32 or fp16.")] = "fp32",
    as_json: AsJson = False,
) -> None:
    """Write a Keras model as ONNX, in fp32 or fp16.

    Precision lives in the graph: an engine built from the file computes in its types.
    """
    from unetrt.progress import Progress

    onnx_model = convert_file(model, out, precision, Progress())
    nodes = _node_counts(onnx_model.path)
    emit(
        {
            "onnx": str(onnx_model.path),
            "sha256": onnx_model.sha256,
            "precision": onnx_model.precision,
            "nodes": nodes,
        },
        as_json=as_json,
        shown=[
            table("Nodes", ["operator", "count"], [[k, str(v)] for k, v in nodes.items()]),
            f"Wrote {onnx_model.path} ({onnx_model.precision})",
        ],
    )


def convert_file(model: Path, out: Path, precision: str, progress: Progress) -> OnnxModel:
    """Convert a .keras file, or retype an .onnx file, to `out`."""
    from unetrt import vendor
    from unetrt.artifacts import KerasFile, OnnxModel
    from unetrt.errors import ArtifactError, BadInput

    if precision not in ("fp32", "fp16"):
        raise BadInput("Cannot convert to this precision", got=precision, expected="fp32 or fp16")
    if out.suffix != ".onnx":
        raise BadInput(f"Cannot write {out}", expected="a name ending in .onnx")
    if model.suffix == ".keras":
        KerasFile.load(model)  # before TensorFlow takes its seconds
        with progress.step("convert", f"Loading {model.name}"):
            vendor.keras()
            vendor.exporter()
            from unetrt.builder import load_model
            from unetrt.convert.to_onnx import export_onnx

            network, origin = load_model(model)
        with progress.step("convert", f"Converting {model.name} to ONNX"):
            written = export_onnx(network, out, origin=origin)
    elif model.suffix == ".onnx":
        written = OnnxModel.load(model)
        if precision == "fp32":
            raise BadInput(f"{model} is ONNX already", hint="choose --precision fp16")
    else:
        raise ArtifactError(f"Cannot convert {model}", expected="a .keras or an .onnx file")
    if precision == "fp16":
        vendor.exporter()
        from unetrt.convert.precision import to_precision

        with progress.step("convert", "Retyping to float16"):
            written = to_precision(written, out)
    return written


def _node_counts(path: Path) -> dict[str, int]:
    from collections import Counter

    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    return dict(Counter(node.op_type for node in graph.node).most_common())
