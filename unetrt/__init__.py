"""From a Keras U-Net to a TensorRT engine that is known to be right, and timed.

Each verb takes the noun before it, or the path of one, and a frozen spec, and returns the next
noun. README.md lists them. A name brings its module when it is first used.

>>> import unetrt
>>> with unetrt.open_session("model.onnx") as session:
...     labels = session.segment(unetrt.read_image("cell.png"))
>>> labels.shape, labels.dtype
((48, 56), dtype('uint8'))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unetrt.lazy import lazy_names

if TYPE_CHECKING:
    from unetrt.artifacts import Engine, KerasFile, OnnxModel
    from unetrt.benchmarks.bench import BenchSpec, bench
    from unetrt.benchmarks.measure import MeasureSpec
    from unetrt.benchmarks.record import Record
    from unetrt.builder.history import TrainResult
    from unetrt.builder.plan import TrainingPlan, plan
    from unetrt.builder.spec import UNetSpec
    from unetrt.builder.train import resume, train
    from unetrt.builder.train_spec import TrainSpec
    from unetrt.convert.engine_spec import EngineSpec
    from unetrt.convert.export import ExportSpec, export
    from unetrt.convert.precision import PrecisionSpec, to_precision
    from unetrt.convert.refit import refit_engine as refit
    from unetrt.convert.to_engine import build_engine as build
    from unetrt.data import Dataset, load_dataset, read_image
    from unetrt.errors import BadInput, CheckFailed, UnetrtError
    from unetrt.parity import Parity
    from unetrt.precision import Precision
    from unetrt.progress import ConsoleProgress, Progress
    from unetrt.runtime import Session, SessionSpec, open_session
    from unetrt.runtime.predict import PredictSpec, Summary, predict
    from unetrt.tensors import ShapeRange, TensorSpec
    from unetrt.verification import verify
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "BadInput": "errors",
            "BenchSpec": "benchmarks.bench",
            "CheckFailed": "errors",
            "ConsoleProgress": "progress",
            "Dataset": "data",
            "Engine": "artifacts",
            "EngineSpec": "convert.engine_spec",
            "ExportSpec": "convert.export",
            "KerasFile": "artifacts",
            "MeasureSpec": "benchmarks.measure",
            "OnnxModel": "artifacts",
            "Parity": "parity",
            "Precision": "precision",
            "PrecisionSpec": "convert.precision",
            "PredictSpec": "runtime.predict",
            "Progress": "progress",
            "Record": "benchmarks.record",
            "Session": "runtime",
            "SessionSpec": "runtime",
            "ShapeRange": "tensors",
            "Summary": "runtime.predict",
            "TensorSpec": "tensors",
            "TrainResult": "builder.history",
            "TrainSpec": "builder.train_spec",
            "TrainingPlan": "builder.plan",
            "UNetSpec": "builder.spec",
            "UnetrtError": "errors",
            "bench": "benchmarks.bench",
            "build": "convert.to_engine:build_engine",
            "export": "convert.export",
            "load_dataset": "data",
            "open_session": "runtime",
            "plan": "builder.plan",
            "predict": "runtime.predict",
            "read_image": "data",
            "refit": "convert.refit:refit_engine",
            "resume": "builder.train",
            "to_precision": "convert.precision",
            "train": "builder.train",
            "verify": "verification",
        },
    )

__all__ = [
    "BadInput",
    "BenchSpec",
    "CheckFailed",
    "ConsoleProgress",
    "Dataset",
    "Engine",
    "EngineSpec",
    "ExportSpec",
    "KerasFile",
    "MeasureSpec",
    "OnnxModel",
    "Parity",
    "Precision",
    "PrecisionSpec",
    "PredictSpec",
    "Progress",
    "Record",
    "Session",
    "SessionSpec",
    "ShapeRange",
    "Summary",
    "TensorSpec",
    "TrainResult",
    "TrainSpec",
    "TrainingPlan",
    "UNetSpec",
    "UnetrtError",
    "__version__",
    "bench",
    "build",
    "export",
    "load_dataset",
    "open_session",
    "plan",
    "predict",
    "read_image",
    "refit",
    "resume",
    "to_precision",
    "train",
    "verify",
]

__version__ = "0.1.0"
