"""ONNX Runtime on an NVIDIA GPU, by its CUDA provider."""

from __future__ import annotations

from unetrt.artifacts import OnnxModel
from unetrt.precision import Precision

from ..session_spec import SessionSpec
from .onnxruntime_session import CPU, CUDA, OrtSession, gpu_obstacle, need_gpu_provider

__all__ = ["WHY", "has_provider", "obstacle", "open_backend"]

WHY = "there is an NVIDIA GPU, and ONNX Runtime's CUDA provider takes images of any size there"


def has_provider() -> bool:
    """Return True if there is a GPU, and an ONNX Runtime with a provider for it."""
    return gpu_obstacle(CUDA) is None


def obstacle(_model: OnnxModel, _spec: SessionSpec) -> str | None:
    """Return what is missing, told without opening anything."""
    return gpu_obstacle(CUDA)


def open_backend(model: OnnxModel, spec: SessionSpec) -> OrtSession:
    """Open an ONNX file on the first GPU.

    Raises:
        NoDevice: there is no GPU, or the provider does not load; it never falls to the CPU.
        ArtifactError: ONNX Runtime cannot open the file.
        MissingDependency: ONNX Runtime is not installed.
    """
    need_gpu_provider(CUDA)
    tf32 = spec.precision == "fast" and model.precision == Precision.FP32
    return OrtSession(
        model,
        spec,
        # TF32 is on by default there: float32 would not be float32.
        providers=[(CUDA, {"use_tf32": str(int(tf32))}), (CPU, {})],
        computes_in=_computes_in(model.precision, tf32=tf32).compute_dtype,
        fast="products of float32 are rounded to TF32"
        if tf32
        else f"nothing gained: {model.precision} is computed as it is",
    )


def _computes_in(precision: Precision, *, tf32: bool) -> Precision:
    if tf32:
        return Precision.TF32
    # The provider unpacks 8-bit numbers and has no quantised convolution.
    return Precision.FP32 if precision == Precision.INT8 else precision
