"""From a Keras U-Net to a TensorRT engine that is known to be right, and timed."""

from __future__ import annotations

from unetrt.artifacts import Engine, KerasFile, OnnxModel
from unetrt.errors import BadInput, CheckFailed, UnetrtError
from unetrt.tensors import ShapeRange, TensorSpec

__all__ = [
    "BadInput",
    "CheckFailed",
    "Engine",
    "KerasFile",
    "OnnxModel",
    "ShapeRange",
    "TensorSpec",
    "UnetrtError",
    "__version__",
]

__version__ = "0.1.0"
