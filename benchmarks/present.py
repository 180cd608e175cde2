"""Which libraries of ours this machine has, by the names of their rows."""

from __future__ import annotations

from unetrt import vendor
from unetrt.gpu import find_gpu

__all__ = ["ENGINES", "present_backends"]

ENGINES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Backends that run engines, and the module of each."""


def present_backends() -> tuple[str, ...]:
    """Return the backends that can be opened here, TensorRT first; imports none of them."""
    gpu = find_gpu() is not None
    found = [name for name, module in ENGINES.items() if gpu and vendor.installed(module)]
    if gpu and vendor.version("onnxruntime-gpu") is not None:
        found += ["onnxruntime-tensorrt", "onnxruntime-cuda"]
    found += [name for name in ("onnxruntime", "openvino") if vendor.installed(name)]
    return tuple(found)
