"""Describe the machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from unetrt import vendor
from unetrt.gpu import find_gpu

from .telemetry import open_gpu_probe

__all__ = ["describe_machine"]

_PACKAGES = (
    "unetrt", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "onnxruntime-gpu",
    "openvino", "tensorrt-cu13", "tensorrt-rtx", "cuda-bindings", "torch", "numpy",
)  # fmt: skip


def describe_machine() -> dict[str, Any]:
    """Return CPU, cores, GPU, system, package versions and git revision, JSON-ready.

    With a GPU and NVML, the GPU's part tells its driver and limits; without NVML, why it does not.

    Example:
        >>> sorted(describe_machine())
        ['cores', 'cpu', 'git', 'gpu', 'packages', 'python', 'system']
    """
    gpu = find_gpu()
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "gpu": None if gpu is None else gpu.to_json() | _nvml_facts(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {
            name: version for name in _PACKAGES if (version := vendor.version(name)) is not None
        },
        "git": _revision(Path(__file__).resolve().parent),
    }


def _nvml_facts() -> dict[str, Any]:
    probe, why_not = open_gpu_probe()
    if probe is None:
        return {"nvml": why_not}
    try:
        return probe.describe()
    finally:
        probe.close()


def _revision(folder: Path) -> str | None:
    """Return the commit of the checkout that holds `folder`, "+" behind it where files differ."""
    asked = ("git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--exclude=*")
    try:
        found = subprocess.run(
            (*asked, "--dirty=+"), capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
