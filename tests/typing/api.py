"""Typed uses of the public API: type-checked by `make lint`, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import unetrt
from tests.fakes.device import FakeDevice
from unetrt import Engine, OnnxModel
from unetrt.benchmarks import (
    CallCandidate,
    Latency,
    MeasureSpec,
    OpenLoop,
    Runs,
    Samples,
    compare_candidates,
    measure,
    read_record,
    summarize,
)
from unetrt.benchmarks.candidates import BoundCandidate
from unetrt.convert.export import ExportSpec
from unetrt.convert.precision import PrecisionSpec, to_precision
from unetrt.convert.to_onnx import export_onnx
from unetrt.data import Dataset
from unetrt.runtime import Session, SessionSpec, open_session
from unetrt.runtime.backends import Backend, DeviceBackend
from unetrt.runtime.backends.backend import BoundRun
from unetrt.runtime.backends.tensorrt import open_backend
from unetrt.runtime.devices import Device, DeviceArray, cuda_python, pycuda


def five_lines(folder: str, image: Path) -> NDArray[np.uint8]:
    """Walk from a folder of images to a label map."""
    result: unetrt.TrainResult = unetrt.train(folder, "run", unetrt.plan(folder, minutes=3))
    assert result.file is not None
    model: OnnxModel = unetrt.export(result.file, "model.onnx")
    with unetrt.open_session(model) as session:
        return session.segment(unetrt.read_image(image))


def every_verb(trained: Path) -> tuple[unetrt.Parity, unetrt.Record, unetrt.Summary]:
    """Give every verb a noun and a spec."""
    data: unetrt.Dataset = unetrt.load_dataset("brain")
    plan: unetrt.TrainingPlan = unetrt.plan(data, preset="paper", crop=388)
    unetrt.train(data, trained.parent, plan, restart=True, progress=unetrt.ConsoleProgress())
    unetrt.resume(trained.parent, data=data)
    unetrt.train(data, "other", unetrt.TrainSpec(epochs=2), folds=5)
    unetrt.plan(data, start=trained, freeze=("down*",))
    model = unetrt.export(trained, "m.onnx", unetrt.ExportSpec(pixels="uint8"))
    half = unetrt.to_precision(model, "h.onnx", unetrt.PrecisionSpec(keep=("up1/*",)), data=data)
    sizes = unetrt.ShapeRange(256, 512, 1024)
    engine: unetrt.Engine = unetrt.build(half, "h.engine", unetrt.EngineSpec(height=sizes))
    unetrt.refit(engine, "other.onnx", "other.engine")
    spec = unetrt.SessionSpec(memory_bytes=2**30)
    summary = unetrt.predict(engine, ["a.png"], "out", unetrt.PredictSpec(session=spec))
    parity = unetrt.verify(trained, half, data)
    parity.check(unetrt.Precision.FP16.tolerance)
    measure = unetrt.MeasureSpec(samples=10)
    record = unetrt.bench([model, "h.engine"], unetrt.BenchSpec(measure=measure), data=data)
    return parity, record, summary


def segment(path: Path, image: NDArray[Any]) -> NDArray[np.uint8]:
    """Open, segment, close."""
    session: Session
    with open_session(path, SessionSpec(backend="onnxruntime", threads=2)) as session:
        return session.segment(image)


def convert(model: Any, data: Dataset) -> OnnxModel:
    """Export bytes in and labels out, and quantise on images."""
    spec = ExportSpec(pixels="uint8", outputs="labels", layout="NCHW", size=(480, 640))
    exported = export_onnx(model, Path("m.onnx"), spec)
    return to_precision(
        exported, Path("m.int8.onnx"), PrecisionSpec(precision="int8", keep=("up1/*",)), data=data
    )


def by_name(session: Session, tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run a network of several inputs."""
    return session.run(tensors)


def on_the_gpu(session: Session, x: DeviceArray) -> DeviceArray:
    """Leave the result where it is."""
    return session.run(x)


def core(session: Session, x: NDArray[Any]) -> Runs:
    """Launch one bound run, and time others."""
    bound: BoundRun
    with session.bind(x) as bound:
        bound.launch()
        bound.wait()
    return BoundCandidate("core", session, {"image": x}).time_runs(10)


def layers() -> tuple[Device, ...]:
    """Every device layer is a Device."""
    return cuda_python.open_device(), pycuda.open_device(), FakeDevice()


def engine_backend(engine: Engine) -> tuple[Backend, DeviceBackend]:
    """An engine's backend is both."""
    opened = open_backend(engine, SessionSpec(device="pycuda", stream=7))
    return opened, opened


def latency(session: Session, x: NDArray[np.float32]) -> Latency:
    """Time one session."""
    samples: dict[str, Samples] = measure(
        [CallCandidate("session", session.run, x)],
        MeasureSpec(percentile=99, mode=OpenLoop(rate_per_s=10, arrivals="poisson", seed=1)),
    )
    return summarize(samples["session"])


def verdict(one: Session, other: Session, x: NDArray[np.float32]) -> str:
    """Compare two sessions."""
    found = compare_candidates(
        {
            "one": lambda _rebuild: CallCandidate("one", one.run, x),
            "other": lambda _rebuild: CallCandidate("other", other.run, x),
        },
        rebuilds=2,
    )
    return found["other"].verdict


def median_ms(path: Path) -> float:
    """Read a record."""
    return read_record(path).rows[0].latency_ms["p50"]
