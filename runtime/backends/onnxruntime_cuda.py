"""ONNX Runtime on an NVIDIA GPU, by its CUDA provider."""

from __future__ import annotations

from unetrt.artifacts import OnnxModel

from ..session_spec import SessionSpec
from .onnxruntime_session import CPU, CUDA, OrtSession, gpu_obstacle, need_gpu_provider

__all__ = ["WHY", "has_provider", "obstacle", "open_backend"]

WHY = "there is an NVIDIA GPU, and ONNX Runtime's CUDA provider takes images of any size there"

_COMPUTES_IN = {
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
    # The provider unpacks the numbers and has no quantised convolution.
    "int8": "float32",
}


def has_provider() -> bool:
    """Whether there is a GPU, and an ONNX Runtime that knows how to use it."""
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
    tf32 = spec.precision == "fast" and model.precision == "fp32"
    return OrtSession(
        model,
        spec,
        # TF32 is on by default there: float32 would not be float32.
        providers=[(CUDA, {"use_tf32": str(int(tf32))}), (CPU, {})],
        computes_in="tf32" if tf32 else _COMPUTES_IN[model.precision],
        fast="products of float32 are rounded to TF32"
        if tf32
        else f"nothing gained: {model.precision} is computed as it is",
    )
