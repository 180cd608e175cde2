"""From a Keras U-Net to a TensorRT engine that is known to be right, and timed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unetrt.lazy import lazy_names

if TYPE_CHECKING:
    from unetrt.artifacts import Engine, KerasFile, OnnxModel
    from unetrt.builder.history import TrainResult
    from unetrt.builder.plan import Plan, plan
    from unetrt.builder.spec import UNetSpec
    from unetrt.builder.train import train
    from unetrt.builder.train_spec import TrainSpec
    from unetrt.data import Dataset, load_dataset, read_image
    from unetrt.errors import BadInput, CheckFailed, UnetrtError
    from unetrt.parity import Parity
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
            "CheckFailed": "errors",
            "ConsoleProgress": "progress",
            "Dataset": "data",
            "Engine": "artifacts",
            "KerasFile": "artifacts",
            "OnnxModel": "artifacts",
            "Plan": "builder.plan",
            "Progress": "progress",
            "ShapeRange": "tensors",
            "TensorSpec": "tensors",
            "TrainResult": "builder.history",
            "TrainSpec": "builder.train_spec",
            "UNetSpec": "builder.spec",
            "UnetrtError": "errors",
            "load_dataset": "data",
            "plan": "builder.plan",
            "PredictSpec": "runtime.predict",
            "Session": "runtime",
            "SessionSpec": "runtime",
            "Summary": "runtime.predict",
            "open_session": "runtime",
            "predict": "runtime.predict",
            "Parity": "parity",
            "verify": "verification",
            "read_image": "data",
            "train": "builder.train",
        },
    )

__all__ = [
    "BadInput",
    "CheckFailed",
    "ConsoleProgress",
    "Dataset",
    "Engine",
    "KerasFile",
    "OnnxModel",
    "Parity",
    "Plan",
    "PredictSpec",
    "Progress",
    "Session",
    "SessionSpec",
    "ShapeRange",
    "Summary",
    "TensorSpec",
    "TrainResult",
    "TrainSpec",
    "UNetSpec",
    "UnetrtError",
    "__version__",
    "load_dataset",
    "open_session",
    "plan",
    "predict",
    "read_image",
    "train",
    "verify",
]

__version__ = "0.1.0"
