"""ONNX Runtime on an NVIDIA GPU, by its TensorRT provider."""

from __future__ import annotations

from unetrt.artifacts import OnnxModel
from unetrt.precision import Precision

from ..session_spec import SessionSpec
from .onnxruntime_session import CPU, CUDA, TENSORRT, OrtSession, gpu_obstacle, need_gpu_provider

__all__ = ["WHY", "obstacle", "open_backend"]

WHY = "there is an NVIDIA GPU, and ONNX Runtime's TensorRT provider loads there"

_FLOATING = Precision.TF32.compute_dtype
"""The provider has no option that forbids it to round float32."""


def obstacle(_model: OnnxModel, spec: SessionSpec) -> str | None:
    """Return what is missing; in its own precision an artifact is not to be rounded to TF32."""
    missing = gpu_obstacle(TENSORRT)
    if missing is None and spec.precision == "own":
        return "it may round float32 to TF32; precision 'fast' allows that"
    return missing


def open_backend(model: OnnxModel, spec: SessionSpec) -> OrtSession:
    """Open an ONNX file on the first GPU; each new size of image is compiled at its first run.

    Raises:
        NoDevice: there is no GPU, or the provider does not load; it never falls to the CPU.
        ArtifactError: ONNX Runtime cannot open the file.
        MissingDependency: ONNX Runtime is not installed.
    """
    need_gpu_provider(TENSORRT)
    own, is_float32 = model.precision, model.precision == Precision.FP32
    options = {} if is_float32 else {f"trt_{own}_enable": "1"}
    computes_in = _FLOATING if is_float32 else own.compute_dtype
    if own == Precision.INT8:
        computes_in += f", the rest {_FLOATING}"
    return OrtSession(
        model,
        spec,
        providers=[(TENSORRT, options), (CUDA, {}), (CPU, {})],
        computes_in=computes_in,
        fast="TensorRT may round products of float32 to TF32",
    )
