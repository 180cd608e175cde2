"""ONNX Runtime on the CPU."""

from __future__ import annotations

from unetrt.artifacts import OnnxModel

from ..session_spec import SessionSpec
from .onnxruntime_session import CPU, OrtSession

__all__ = ["WHY", "obstacle", "open_backend"]

WHY = "ONNX Runtime on the CPU runs every ONNX file"

_COMPUTES_IN = {
    "fp32": "float32",
    # Its CPU kernels have no float16 convolution: each is put between casts to float32.
    "fp16": "float32",
    "int8": "int8, the rest float32",
}


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
        computes_in=_COMPUTES_IN.get(model.precision, "float32"),
        fast="nothing gained: on a CPU, ONNX Runtime has nothing faster than the file's own types",
    )
