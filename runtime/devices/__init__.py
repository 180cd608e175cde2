"""The GPU's memory and stream, through whichever binding is installed."""

from __future__ import annotations

import importlib

from unetrt import vendor

from .device import Device

__all__ = ["Device", "open_device"]


def open_device() -> Device:
    """Open the first GPU through cuda-python, or through PyCUDA where only that is installed."""
    pycuda_only = vendor.installed("pycuda") and not vendor.installed("cuda.bindings")
    module = importlib.import_module(".pycuda" if pycuda_only else ".cuda_python", __name__)
    device: Device = module.open_device()
    return device
