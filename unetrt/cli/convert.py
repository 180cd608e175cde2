"""`unetrt convert`: write a Keras model as ONNX, or retype an ONNX file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import unetrt
from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.cli.options import Precisions, SizeOption
from unetrt.cli.output import ShownProgress, emit, table
from unetrt.cli.shell import AsJson, refuse_options
from unetrt.convert.export import ExportSpec
from unetrt.data import Dataset
from unetrt.errors import BadInput
from unetrt.precision import Precision

__all__ = ["convert"]


def convert(
    model: Annotated[
        Path, typer.Argument(help="MODEL.keras, .h5, a SavedModel's folder, or an ONNX file.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="ONNX file to write; by default beside MODEL, after it."),
    ] = None,
    precision: Annotated[Precisions, typer.Option(help="What the network computes in.")] = "fp32",
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Pattern of layers that stay in float32; may be repeated."),
    ] = None,
    rest: Annotated[
        Literal["fp32", "fp16"], typer.Option(help="Of int8: what is not quantised.")
    ] = "fp32",
    data: Annotated[
        str | None,
        typer.Option(help='"brain", or a folder; training images, for int8 and float16 overflow.'),
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="How many of them to look at: 32.")
    ] = None,
    layout: Annotated[
        Literal["NHWC", "NCHW"] | None, typer.Option(help="Of images in and out.")
    ] = None,
    pixels: Annotated[
        Literal["float32", "uint8", "uint16"] | None, typer.Option(help="Type of images in.")
    ] = None,
    outputs: Annotated[
        Literal["probabilities", "labels", "both"] | None, typer.Option(help="What comes out.")
    ] = None,
    opset: Annotated[int | None, typer.Option(help="17 to 23.")] = None,
    size: SizeOption = None,
    as_json: AsJson = False,
) -> None:
    """Write a Keras model as ONNX, in the precision asked for.

    Precision lives in the graph: an engine built from the file computes in its types. Height and
    width stay free unless a layer holds a size; --size chooses it then, 256x256 by default.
    """
    given: dict[str, Any] = {"layout": layout, "pixels": pixels, "outputs": outputs, "opset": opset}
    chosen = {name: value for name, value in given.items() if value is not None}
    if data is None:
        refuse_options("A conversion without --data", images=images)
    if precision not in ("int8", "fp16"):
        refuse_options(f"A conversion to {precision}", data=data)
    progress = ShownProgress()
    out = out or _beside(model, precision)
    if model.suffix == ".onnx":
        refuse_options(f"{model} is ONNX already: it", **chosen, size=size)
        if precision == "fp32":
            raise BadInput(f"{model} is ONNX already", hint="choose a `precision`")
        vendor.need_rewriter()
        spec = _precision_spec(precision, keep, rest, images)
        source = OnnxModel.load(model)
        dataset = _dataset(data, progress)
        with progress.step("convert", f"Retyping to {precision}"):
            written = unetrt.to_precision(source, out, spec, data=dataset)
    else:
        vendor.need_exporter()
        written = unetrt.export(
            model,
            out,
            ExportSpec(**chosen) if size is None else ExportSpec(**chosen, size=size.sides),
            precision=_precision_spec(precision, keep, rest, images),
            data=_dataset(data, progress),
            progress=progress,
        )
    _show(written, as_json=as_json)


def _beside(model: Path, precision: str) -> Path:
    """Return model.onnx, or model.fp16.onnx, beside the model."""
    suffix = ".onnx" if precision == Precision.FP32 else f".{precision}.onnx"
    return model.with_name(model.stem + suffix)


def _precision_spec(
    precision: str, keep: list[str] | None, rest: str, images: int | None
) -> unetrt.PrecisionSpec:
    given = {} if images is None else {"images": images}
    return unetrt.PrecisionSpec(precision=precision, keep=tuple(keep or ()), rest=rest, **given)


def _dataset(data: str | None, progress: ShownProgress) -> Dataset | None:
    if data is None:
        return None
    with progress.step("data", f"Reading {data}"):
        return unetrt.load_dataset(data)


def _show(written: OnnxModel, *, as_json: bool) -> None:
    graph = vendor.onnx().load(written.path, load_external_data=False).graph
    nodes = dict(Counter(node.op_type for node in graph.node).most_common())
    emit(
        {
            "onnx": str(written.path),
            "sha256": written.sha256,
            "precision": written.precision,
            "inputs": [tensor.to_json() for tensor in written.inputs],
            "outputs": [tensor.to_json() for tensor in written.outputs],
            "kept": list(written.kept),
            "nodes": nodes,
        },
        as_json=as_json,
        shown=[
            table("Nodes", ["operator", "count"], [[k, str(v)] for k, v in nodes.items()]),
            *(f"in   {tensor.name}: {tensor}" for tensor in written.inputs),
            *(f"out  {tensor.name}: {tensor}" for tensor in written.outputs),
            *([f"pixels: {written.normalization}"] if written.normalization else []),
            *([f"not in {written.precision}: {', '.join(written.kept)}"] if written.kept else []),
            f"Wrote {written.path} ({written.precision})",
        ],
    )
