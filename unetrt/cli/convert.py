"""`unetrt convert`: a Keras model in, an ONNX file out, in the precision asked for."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unetrt.artifacts import KerasFile, sidecar_of
from unetrt.cli.output import emit, table
from unetrt.cli.shell import AsJson
from unetrt.files import refuse_overwriting

if TYPE_CHECKING:
    from unetrt.artifacts import OnnxModel
    from unetrt.convert.export_spec import ExportSpec
    from unetrt.convert.precision import PrecisionSpec
    from unetrt.data import Dataset
    from unetrt.progress import Progress

__all__ = ["convert", "convert_file"]


def convert(
    model: Annotated[
        Path, typer.Argument(help="MODEL.keras, .h5, a SavedModel's folder, or an ONNX file.")
    ],
    out: Annotated[Path, typer.Option("--out", help="ONNX file to write.")],
    precision: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8.")] = "fp32",
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of layers that stay in float32; may be repeated."),
    ] = None,
    rest: Annotated[
        str, typer.Option(help="Of int8: what is not quantised, fp32 or fp16.")
    ] = "fp32",
    data: Annotated[
        str | None,
        typer.Option(help='"brain", or a folder; training images, for int8 and float16 overflow.'),
    ] = None,
    images: Annotated[int, typer.Option(help="How many of them to look at.")] = 32,
    layout: Annotated[str | None, typer.Option(help="NHWC or NCHW, of images in and out.")] = None,
    pixels: Annotated[str | None, typer.Option(help="float32, uint8 or uint16 in.")] = None,
    outputs: Annotated[str | None, typer.Option(help="probabilities, labels or both.")] = None,
    opset: Annotated[int | None, typer.Option(help="17 to 23.")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="HEIGHTxWIDTH, where a layer holds a size; 256x256 by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a Keras model as ONNX, in the precision asked for.

    Precision lives in the graph: an engine built from the file computes in its types.
    """
    from unetrt import vendor
    from unetrt.data import load_dataset
    from unetrt.progress import ConsoleProgress

    # Before TensorFlow takes its seconds; of a SavedModel, every file in its folder is read.
    files = model.rglob("*") if model.is_dir() else (model, sidecar_of(model))
    refuse_overwriting([out, sidecar_of(out)], files)
    (vendor.need_rewriter if model.suffix == ".onnx" else vendor.need_exporter)()
    from unetrt.convert.export_spec import ExportSpec
    from unetrt.convert.precision import PrecisionSpec

    given: dict[str, Any] = {"layout": layout, "pixels": pixels, "outputs": outputs, "opset": opset}
    given |= {"size": _size(size)} if size else {}
    chosen = {name: value for name, value in given.items() if value is not None}
    if model.suffix == ".onnx" and chosen:
        _refuse_edges(model, chosen)
    spec = PrecisionSpec(precision=precision, keep=tuple(keep or ()), rest=rest, images=images)
    progress = ConsoleProgress()
    dataset = None
    if data is not None:
        with progress.step("data", f"Reading {data}"):
            dataset = load_dataset(data)
    onnx_model = convert_file(
        model, out, progress, export=ExportSpec(**chosen), precision=spec, data=dataset
    )
    nodes = _node_counts(onnx_model.path)
    emit(
        {
            "onnx": str(onnx_model.path),
            "sha256": onnx_model.sha256,
            "precision": onnx_model.precision,
            "inputs": [tensor.to_json() for tensor in onnx_model.inputs],
            "outputs": [tensor.to_json() for tensor in onnx_model.outputs],
            "kept": list(onnx_model.kept),
            "nodes": nodes,
        },
        as_json=as_json,
        shown=[
            table("Nodes", ["operator", "count"], [[k, str(v)] for k, v in nodes.items()]),
            *(f"in   {tensor.name}: {tensor}" for tensor in onnx_model.inputs),
            *(f"out  {tensor.name}: {tensor}" for tensor in onnx_model.outputs),
            *_shown_kept(onnx_model),
            f"Wrote {onnx_model.path} ({onnx_model.precision})",
        ],
    )


def convert_file(
    model: Path,
    out: Path,
    progress: Progress,
    *,
    export: ExportSpec | None = None,
    precision: PrecisionSpec | None = None,
    data: Dataset | None = None,
) -> OnnxModel:
    """Convert a Keras model, or retype an .onnx file, to `out`; float32 without `precision`."""
    from unetrt import vendor
    from unetrt.artifacts import OnnxModel
    from unetrt.errors import ArtifactError, BadInput, UnetrtError

    if out.suffix != ".onnx":
        raise BadInput(f"Cannot write {out}", expected="a name ending in .onnx")
    (vendor.need_rewriter if model.suffix == ".onnx" else vendor.need_exporter)()
    wanted = "fp32" if precision is None else precision.precision
    if model.suffix == ".onnx":
        fp32 = OnnxModel.load(model)
        if wanted == "fp32":
            raise BadInput(f"{model} is ONNX already", hint="choose a --precision")
        return _retype(fp32, out, precision, data, progress, source=fp32.as_source)
    if not model.is_dir() and model.suffix not in KerasFile.SUFFIXES:
        raise ArtifactError(
            f"Cannot convert {model}",
            expected="a .keras, .h5 or .onnx file, or a SavedModel's folder",
        )
    if wanted == "fp32":
        return _export(model, out, export, progress)
    # The float32 file is a step on the way: only what was asked for is left behind.
    with tempfile.TemporaryDirectory() as folder:
        fp32 = _export(model, Path(folder) / out.name, export, progress)
        try:
            return _retype(fp32, out, precision, data, progress, source=fp32.source)
        except UnetrtError as error:
            error.args = (str(error).replace(str(fp32.path), str(model)),)
            raise


def _export(model: Path, out: Path, spec: ExportSpec | None, progress: Progress) -> OnnxModel:
    from unetrt import vendor
    from unetrt.artifacts import KerasFile

    if not model.is_dir():
        KerasFile.load(model)  # before TensorFlow takes its seconds
    with progress.step("convert", f"Loading {model.name}"):
        vendor.keras()
        from unetrt.convert.saved_model import read_saved_model
        from unetrt.convert.to_onnx import export_onnx
        from unetrt.keras_models import read_model

        network, origin = read_saved_model(model) if model.is_dir() else read_model(model)
    with progress.step("convert", f"Converting {model.name} to ONNX"):
        written = export_onnx(network, out, spec, origin=origin)
    for tensor in written.inputs:
        if tensor.is_image and all(isinstance(side, int) for side in tensor.sides()):
            progress.say(f"height and width of {tensor.name!r} are fixed: {tensor}")
    return written


def _retype(
    fp32: OnnxModel,
    out: Path,
    spec: PrecisionSpec | None,
    data: Dataset | None,
    progress: Progress,
    *,
    source: dict[str, Any],
) -> OnnxModel:
    from unetrt.convert.precision import to_precision

    name = "" if spec is None else spec.precision
    with progress.step("convert", f"Retyping to {name}"):
        return to_precision(fp32, out, spec, data=data, source=source)


def _refuse_edges(model: Path, chosen: dict[str, Any]) -> None:
    from unetrt.errors import BadInput

    raise BadInput(
        f"{model} is ONNX already",
        got=", ".join(f"--{name}" for name in chosen),
        expected="those options with a Keras model",
        hint="convert the Keras model again with them",
    )


def _size(text: str) -> tuple[int, int]:
    from unetrt.errors import BadInput

    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if found is None:
        raise BadInput("Cannot read a size", got=repr(text), expected="HEIGHTxWIDTH, as 480x640")
    return int(found[1]), int(found[2] or found[1])


def _shown_kept(model: OnnxModel) -> list[str]:
    return [f"not in {model.precision}: {', '.join(model.kept)}"] if model.kept else []


def _node_counts(path: Path) -> dict[str, int]:
    from collections import Counter

    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    return dict(Counter(node.op_type for node in graph.node).most_common())
