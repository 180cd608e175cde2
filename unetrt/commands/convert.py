"""`unetrt convert`: a Keras model in, an ONNX file out, in the precision asked for."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of nodes that stay in float32; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a Keras model as ONNX, in fp32 or fp16.

    Precision lives in the graph: an engine built from the file computes in its types.
    """
    from unetrt.progress import Progress

    onnx_model = convert_file(model, out, precision, Progress(), tuple(keep or ()))
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


def convert_file(
    model: Path, out: Path, precision: str, progress: Progress, keep: tuple[str, ...] = ()
) -> OnnxModel:
    """Convert a .keras file, or retype an .onnx file, to `out`."""
    from unetrt import vendor
    from unetrt.artifacts import OnnxModel
    from unetrt.errors import ArtifactError, BadInput

    if precision not in ("fp32", "fp16"):
        raise BadInput("Cannot convert to this precision", got=precision, expected="fp32 or fp16")
    if out.suffix != ".onnx":
        raise BadInput(f"Cannot write {out}", expected="a name ending in .onnx")
    if model.suffix not in (".keras", ".onnx"):
        raise ArtifactError(f"Cannot convert {model}", expected="a .keras or an .onnx file")
    vendor.exporter()
    if model.suffix == ".keras" and precision == "fp32":
        return _export(model, out, progress)
    if model.suffix == ".keras":
        # The float32 file is a step on the way: only what was asked for is left behind.
        with tempfile.TemporaryDirectory() as folder:
            fp32 = _export(model, Path(folder) / out.name, progress)
            return _retype(fp32, out, keep, progress, source=fp32.source)
    fp32 = OnnxModel.load(model)
    if precision == "fp32":
        raise BadInput(f"{model} is ONNX already", hint="choose --precision fp16")
    return _retype(fp32, out, keep, progress, source=fp32.as_source)


def _export(model: Path, out: Path, progress: Progress) -> OnnxModel:
    from unetrt import vendor
    from unetrt.artifacts import KerasFile

    KerasFile.load(model)  # before TensorFlow takes its seconds
    with progress.step("convert", f"Loading {model.name}"):
        vendor.keras()
        from unetrt.builder import load_model
        from unetrt.convert.to_onnx import export_onnx

        network, origin = load_model(model)
    with progress.step("convert", f"Converting {model.name} to ONNX"):
        written = export_onnx(network, out, origin=origin)
    free, height = network.input_shape[1] is None, written.inputs[0].shape[1]
    if free and isinstance(height, int):
        progress.say(f"height and width are now fixed at {height}: a layer holds a size")
    return written


def _retype(
    fp32: OnnxModel, out: Path, keep: tuple[str, ...], progress: Progress, *, source: dict[str, Any]
) -> OnnxModel:
    from unetrt.convert.precision import PrecisionSpec, to_precision

    with progress.step("convert", "Retyping to float16"):
        return to_precision(fp32, out, PrecisionSpec(keep=keep), source=source)


def _node_counts(path: Path) -> dict[str, int]:
    from collections import Counter

    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    return dict(Counter(node.op_type for node in graph.node).most_common())
