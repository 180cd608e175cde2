"""ONNX Runtime on the CPU."""

from __future__ import annotations

from unetrt.artifacts import OnnxModel
from unetrt.precision import Precision

from ..session_spec import SessionSpec
from .onnxruntime_session import CPU, OrtSession

__all__ = ["WHY", "obstacle", "open_backend"]

WHY = "ONNX Runtime on the CPU runs every ONNX file"

_FLOATING = Precision.FP32.compute_dtype
"""Its CPU kernels have no float16 convolution: each is put between casts to float32."""


def obstacle(_model: OnnxModel, _spec: SessionSpec) -> str | None:
    """None: it runs anywhere."""
    return None


def open_backend(model: OnnxModel, spec: SessionSpec) -> OrtSession:
    """Open an ONNX file.

    Raises:
        ArtifactError: ONNX Runtime cannot open it.
        MissingDependency: ONNX Runtime is not installed.
    """
    return OrtSession(
        model,
        spec,
        providers=[(CPU, {})],
        computes_in=f"{model.precision.compute_dtype}, the rest {_FLOATING}"
        if model.precision == Precision.INT8
        else _FLOATING,
        fast="nothing gained: on a CPU, ONNX Runtime has nothing faster than the file's own types",
    )
