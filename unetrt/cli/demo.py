"""`unetrt demo`: walk the whole road on real images, stage by stage, and report at its end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

import unetrt
from unetrt import vendor
from unetrt.artifacts import Engine, OnnxModel
from unetrt.benchmarks import CallCandidate, MeasureSpec, describe_machine, measure, summarize
from unetrt.cli.output import ShownProgress, emit, figure, table
from unetrt.cli.shell import AsJson
from unetrt.cli.train import show_plan
from unetrt.convert.engine_spec import EngineSpec
from unetrt.convert.to_engine import choose_backend
from unetrt.data import Dataset, Sample, load_dataset
from unetrt.data.dataset import files_of
from unetrt.errors import NoDevice
from unetrt.files import output_folder
from unetrt.parity import compare
from unetrt.predictors import (
    Predictor,
    common_sizes,
    normalized_for,
    onnx_runtime,
    open_predictor,
)
from unetrt.progress import Progress
from unetrt.report import write_demo
from unetrt.runtime import Session, SessionSpec
from unetrt.sizes import as_batch

__all__ = ["demo"]

PRECISIONS = ("fp32", "fp16")


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything that is made.")] = Path(
        "demo-out"
    ),
    data: Annotated[
        str, typer.Option(help='"brain", or a folder of images/ and labels/.')
    ] = "brain",
    minutes: Annotated[float, typer.Option(min=0.05, help="Time for training.")] = 3.0,
    as_json: AsJson = False,
) -> None:
    """Do all of the below on real images, and report.

    Leaves OUT/report.html and OUT/summary.json, and every artifact beside them.
    """
    progress = ShownProgress()
    _need_everything()
    with progress.step("data", f"Reading {data}"):
        dataset = load_dataset(data)
    output_folder(out)
    for stale in ("summary.json", "report.html"):
        (out / stale).unlink(missing_ok=True)  # they would describe other artifacts
    with progress.step("plan", f"Looking at {dataset.name}"):
        plan = unetrt.plan(dataset, minutes=minutes)
    show_plan(plan)
    result = unetrt.train(dataset, out / "run", plan, restart=True, progress=progress)
    onnx_models = _convert(out, dataset, progress)
    engines = _build(out, onnx_models, dataset, progress)
    summary = _verify_and_time(out, engines, dataset, progress)
    with unetrt.open_session(onnx_models["fp32"]) as session:
        write_demo(out, summary, result.history, dataset.test, _segment(session, dataset), progress)
    emit(
        {"report": str(out / "report.html"), **summary},
        as_json=as_json,
        shown=[*_tables(summary), f"Open {out / 'report.html'}"],
    )


def _segment(session: Session, data: Dataset) -> Callable[[Sample], NDArray[np.uint8]]:
    """Return what segments a test image by the statistics of its whole file."""
    files = files_of(data.test)

    def segment(sample: Sample) -> NDArray[np.uint8]:
        pages = [page.image for page in files[sample.group or sample.name]]
        return session.segment(sample.image, scale=session.pixel_scale(pages))

    return segment


def _need_everything() -> None:
    """Miss an extra now, not after minutes of training."""
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
    engines = {}
    for precision, model in onnx_models.items():
        with progress.step("build", f"Building the {precision} engine"):
            spec = EngineSpec.for_sizes((s.label.shape for s in data.test), model.sizes)
            engines[precision] = unetrt.build(model, out / f"model.{precision}.engine", spec)
    return engines


def _verify_and_time(
    out: Path, engines: dict[str, Engine], data: Dataset, progress: Progress
) -> dict[str, Any]:
    """Open all that can run here once; check it on every test image, then time what passed."""
    with ExitStack() as stack:
        with progress.step("verify", "Opening the artifacts"):
            keras = stack.enter_context(open_predictor(out / "run" / "model.keras", name="keras"))
            others, refused = _open_candidates(stack, out, engines)
        with progress.step("verify", f"Comparing {len(others) + 1} ways on every test image"):
            parities = compare(
                (keras.name, keras.predict),
                {other.name: other.predict for other in others},
                normalized_for([keras, *others], data.test),
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

    middle = data.test[len(data.test) // 2]
    (sample,) = normalized_for(predictors, [middle], among=data.test)
    x = as_batch(sample.image, common_sizes(predictors))
    with progress.step("bench", "Timing"):
        calls = [CallCandidate(p.name, p.predict, x, p.precision) for p in predictors]
        samples = measure(calls, MeasureSpec(samples=100), on_run=progress.tick)
    return list(x.shape), {name: summarize(taken).to_json() for name, taken in samples.items()}


def _tables(summary: dict[str, Any]) -> list[Table | str]:
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
