"""Reach the memory and streams of the GPU through cuda-python or PyCUDA."""

from __future__ import annotations

import importlib

from unetrt import vendor
from unetrt.errors import BadInput

from .arrays import DeviceArray, DeviceView, is_on_device, stream_handle, view_of
from .device import Device

__all__ = [
    "LAYERS",
    "Device",
    "DeviceArray",
    "DeviceView",
    "is_on_device",
    "open_device",
    "stream_handle",
    "view_of",
]

LAYERS = ("auto", "cuda-python", "pycuda")
"""What `SessionSpec.device` may be."""


def open_device(wanted: str = "auto") -> Device:
    """Open the first GPU; "auto" takes cuda-python, or PyCUDA where only that is installed.

    Raises:
        BadInput: there is no such layer.
        MissingDependency: its package is not installed.
        NoDevice: there is no driver, or no GPU.
    """
    if wanted not in LAYERS:
        raise BadInput(
            "There is no such device layer", got=repr(wanted), expected=" or ".join(LAYERS)
        )
    if wanted == "auto":
        pycuda_only = vendor.installed("pycuda") and not vendor.installed("cuda.bindings")
        wanted = "pycuda" if pycuda_only else "cuda-python"
    module = importlib.import_module(f".{wanted.replace('-', '_')}", __name__)
    device: Device = module.open_device()
    return device
