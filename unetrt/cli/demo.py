"""`unetrt demo`: the whole road on real images, stage by stage, and a report at its end."""

from __future__ import annotations

import csv
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import unetrt
from unetrt.cli.output import emit, figure, table
from unetrt.cli.shell import AsJson
from unetrt.cli.train import show_plan

if TYPE_CHECKING:
    from unetrt.artifacts import Engine, OnnxModel
    from unetrt.convert.to_engine import EngineSpec
    from unetrt.data import Dataset
    from unetrt.predictors import Predictor
    from unetrt.progress import Progress
    from unetrt.sizes import SizeRule

__all__ = ["demo"]

PRECISIONS = ("fp32", "fp16")
_SHOWN = 4


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything that is made.")],
    data: Annotated[
        str, typer.Option(help='"brain", or a folder of images/ and labels/.')
    ] = "brain",
    minutes: Annotated[float, typer.Option(min=0.05, help="Time for training.")] = 3.0,
    as_json: AsJson = False,
) -> None:
    """Do all of the below on real images, and report.

    Leaves OUT/report.html and OUT/summary.json, and every artifact beside them.
    """
    from unetrt.data import load_dataset
    from unetrt.files import output_folder
    from unetrt.progress import ConsoleProgress

    progress = ConsoleProgress()
    _need_everything()
    with progress.step("data", f"Reading {data}"):
        dataset = load_dataset(data)
    output_folder(out)
    for stale in ("summary.json", "report.html"):
        (out / stale).unlink(missing_ok=True)  # they would describe other artifacts
    with progress.step("plan", f"Looking at {dataset.name}"):
        plan = unetrt.plan(dataset, minutes=minutes)
    show_plan(plan)
    unetrt.train(dataset, out / "run", plan, restart=True, progress=progress)
    onnx_models = _convert(out, dataset, progress)
    engines = _build(out, onnx_models, dataset, progress)
    summary = _verify_and_time(out, engines, dataset, progress)
    _report(out, summary, dataset, onnx_models["fp32"], progress)
    emit(
        {"report": str(out / "report.html"), **summary},
        as_json=as_json,
        shown=[*_tables(summary), f"Open {out / 'report.html'}"],
    )


def _need_everything() -> None:
    """Miss an extra now, not after minutes of training."""
    from unetrt import vendor
    from unetrt.convert.to_engine import choose_backend

    vendor.need("tensorflow", extra="train", purpose="Training")
    vendor.need_exporter()
    vendor.jinja2()
    vendor.matplotlib()
    vendor.onnxruntime()
    vendor.tensorrt(choose_backend("auto"))


def _convert(out: Path, data: Dataset, progress: Progress) -> dict[str, OnnxModel]:
    fp32 = unetrt.export(out / "run" / "model.keras", out / "model.fp32.onnx", progress=progress)
    with progress.step("convert", "Retyping to fp16"):  # overflow is looked for on the data
        fp16 = unetrt.to_precision(fp32, out / "model.fp16.onnx", data=data)
    return {model.precision: model for model in (fp32, fp16)}


def _build(
    out: Path, onnx_models: dict[str, OnnxModel], data: Dataset, progress: Progress
) -> dict[str, Engine]:
    from unetrt.convert.to_engine import build_engine

    engines = {}
    for precision, model in onnx_models.items():
        with progress.step("build", f"Building the {precision} engine"):
            spec = _engine_spec(data, model.sizes)
            engines[precision] = build_engine(model, out / f"model.{precision}.engine", spec)
    return engines


def _engine_spec(data: Dataset, rule: SizeRule) -> EngineSpec:
    """Take every size of the test images, mirrored out as the network needs; best at the median."""
    from unetrt.convert.to_engine import EngineSpec
    from unetrt.tensors import ShapeRange

    def sides(axis: int) -> ShapeRange:
        sizes = sorted(rule.covering(s.label.shape[axis]) for s in data.test)
        return ShapeRange(sizes[0], sizes[len(sizes) // 2], sizes[-1])

    return EngineSpec(height=sides(0), width=sides(1))


def _verify_and_time(
    out: Path, engines: dict[str, Engine], data: Dataset, progress: Progress
) -> dict[str, Any]:
    """Open all that can run here once; check it on every test image, then time what passed."""
    from unetrt.benchmarks import describe_machine
    from unetrt.parity import compare
    from unetrt.predictors import common_sizes, open_predictor

    with ExitStack() as stack:
        with progress.step("verify", "Opening the artifacts"):
            keras = stack.enter_context(open_predictor(out / "run" / "model.keras", name="keras"))
            others, refused = _open_candidates(stack, out, engines)
        with progress.step("verify", f"Comparing {len(others) + 1} ways on every test image"):
            parities = compare(
                (keras.name, keras.predict),
                {other.name: other.predict for other in others},
                data.test,
                data.classes,
                common_sizes([keras, *others]),
                on_sample=lambda done: progress.tick(f"{done}/{len(data.test)} images"),
            )
            for other in others:
                parities[other.name].check(other.precision.tolerance)
        input_shape, latency = _time([keras, *others], data, progress)
    return {
        "schema": 1,
        "data": data.name,
        "classes": list(data.classes),
        "images": {part: len(getattr(data, part)) for part in ("train", "val", "test")},
        "dice": {name: parity.dice for name, parity in parities.items()},
        "max_abs_diff": {other.name: parities[other.name].max_abs_diff for other in others},
        "latency_ms": latency,
        "input_shape": input_shape,
        "engines": {
            precision: {
                "file": engine.path.name,
                "sha256": engine.sha256,
                "backend": engine.backend,
                "backend_version": engine.backend_version,
                "executed": precision not in refused,
                **({"why_not": refused[precision]} if precision in refused else {}),
                "receipt": engine.receipt.to_json(),
            }
            for precision, engine in engines.items()
        },
        "machine": describe_machine(),
    }


def _open_candidates(
    stack: ExitStack, out: Path, engines: dict[str, Engine]
) -> tuple[list[Predictor], dict[str, str]]:
    """Open the ONNX files and every engine this machine can run; return why it cannot others."""
    from unetrt import vendor
    from unetrt.errors import NoDevice
    from unetrt.predictors import onnx_runtime, open_predictor
    from unetrt.runtime import SessionSpec

    runtime = SessionSpec(backend=onnx_runtime())
    found = [
        stack.enter_context(
            open_predictor(out / f"model.{precision}.onnx", runtime, name=f"onnx-{precision}")
        )
        for precision in PRECISIONS
    ]
    if vendor.installed("openvino"):
        fp32 = out / "model.fp32.onnx"
        found.append(
            stack.enter_context(
                open_predictor(fp32, SessionSpec(backend="openvino"), name="openvino-fp32")
            )
        )
    refused = {}
    for precision, engine in engines.items():
        try:
            name = f"{engine.backend}-{precision}"
            found.append(stack.enter_context(open_predictor(engine.path, name=name)))
        except NoDevice as error:
            refused[precision] = str(error.got or error)
    return found, refused


def _time(
    predictors: list[Predictor], data: Dataset, progress: Progress
) -> tuple[list[int], dict[str, Any]]:
    from unetrt.benchmarks import CallCandidate, MeasureSpec, measure, summarize
    from unetrt.predictors import common_sizes
    from unetrt.sizes import as_batch

    image = data.test[len(data.test) // 2].image
    x = as_batch(image, common_sizes(predictors))
    with progress.step("bench", "Timing"):
        calls = [CallCandidate(p.name, p.predict, x, p.precision) for p in predictors]
        samples = measure(calls, MeasureSpec(samples=100), on_run=progress.tick)
    return list(x.shape), {name: summarize(taken).to_json() for name, taken in samples.items()}


def _report(
    out: Path,
    summary: dict[str, Any],
    data: Dataset,
    model: OnnxModel,
    progress: Progress,
) -> None:
    """Draw the pictures, then write report.html and, last, summary.json with all the seconds."""
    from unetrt.files import write_bytes, write_text
    from unetrt.report import as_file, latency_chart, learning_curve, render_html
    from unetrt.runtime import open_session

    with progress.step("report", "Writing the report"):
        with (out / "run" / "history.csv").open(newline="", encoding="utf-8") as file:
            history = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        with open_session(model) as session:
            sheet = _segmentation(data, session.segment)
        write_bytes(out / "pictures" / "segmentation.png", sheet)
        charts = {
            "learning": learning_curve(history),
            "latency": latency_chart(summary["latency_ms"]),
        }
        for name, svg in charts.items():
            write_text(out / "pictures" / f"{name}.svg", as_file(svg))
        summary["seconds"] = {k: round(s, 2) for k, s in progress.seconds.items()}
        page = render_html(summary, sheet, charts)
    summary["seconds"]["report"] = round(progress.seconds["report"], 2)
    write_text(out / "report.html", page)
    write_text(out / "summary.json", json.dumps(summary, indent=1) + "\n")


def _segmentation(data: Dataset, segment: Any) -> bytes:
    import io

    from PIL import Image

    from unetrt.report import segmentation_sheet

    step = max(1, len(data.test) // _SHOWN)
    chosen = data.test[step // 2 :: step][:_SHOWN]
    sheet = segmentation_sheet([(s.image, s.label, segment(s.image)) for s in chosen])
    png = io.BytesIO()
    Image.fromarray(sheet).save(png, format="PNG", optimize=True)
    return png.getvalue()


def _tables(summary: dict[str, Any]) -> list[Any]:
    keys = list(summary["dice"]["keras"])
    agreement = [
        [
            name,
            *(figure(dice[key], 4) for key in keys),
            f"{summary['max_abs_diff'][name]:.1e}" if name in summary["max_abs_diff"] else "-",
        ]
        for name, dice in summary["dice"].items()
    ]
    timing = [
        [name, figure(row["p50"], 2), figure(row.get("p90"), 2), str(row["n"])]
        for name, row in summary["latency_ms"].items()
    ]
    return [
        table("Dice on the test images", ["", *keys, "max |diff|"], agreement),
        table(f"Milliseconds at {summary['input_shape']}", ["", "p50", "p90", "runs"], timing),
        *(
            f"{engine['file']} ({engine['backend']}): built, not executed here: {engine['why_not']}"
            for engine in summary["engines"].values()
            if not engine["executed"]
        ),
    ]
