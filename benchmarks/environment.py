"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.gpu import find_gpu

__all__ = ["describe_machine"]

_PACKAGES = (
    "unetrt", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "onnxruntime-gpu",
    "openvino", "tensorrt-cu13", "tensorrt-rtx", "numpy",
)  # fmt: skip


def describe_machine() -> dict[str, Any]:
    """Return CPU, cores, memory, GPU, system and package versions, JSON-ready."""
    gpu = find_gpu()
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "gpu": None if gpu is None else gpu.to_json(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {
            name: version for name in _PACKAGES if (version := vendor.version(name)) is not None
        },
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
