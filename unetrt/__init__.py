"""From a Keras U-Net to a TensorRT engine that is known to be right, and timed."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "BadInput": "errors",
    "CheckFailed": "errors",
    "Engine": "artifacts",
    "KerasFile": "artifacts",
    "OnnxModel": "artifacts",
    "ShapeRange": "tensors",
    "TensorSpec": "tensors",
    "UnetrtError": "errors",
}
"""The module of each name, imported when the name is first asked for: NumPy takes 0.1 s."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
