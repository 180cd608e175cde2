"""Describe the NVIDIA GPU of this machine by its driver alone; no package needed."""

from __future__ import annotations

import ctypes
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

__all__ = ["Gpu", "find_gpu", "first_gpu_bus_id"]

_COMPUTE_CAPABILITY_MAJOR = 75
_COMPUTE_CAPABILITY_MINOR = 76


@dataclass(frozen=True, slots=True)
class Gpu:
    """Describe a GPU.

    Attributes:
        name: as the driver has it, such as "NVIDIA H100 80GB HBM3".
        compute_capability: such as "9.0".
        driver_cuda: the newest CUDA version that its driver runs, such as "13.0".
    """

    name: str
    compute_capability: str
    driver_cuda: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


@cache
def find_gpu() -> Gpu | None:
    """Return the first GPU, or None where there is no driver or no device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    version, device = ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGet(ctypes.byref(device), 0) != 0:
        return None
    driver.cuDriverGetVersion(ctypes.byref(version))
    name = ctypes.create_string_buffer(256)
    driver.cuDeviceGetName(name, len(name), device)
    capability = []
    for attribute in (_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability.append(str(value.value))
    return Gpu(
        name=name.value.decode(),
        compute_capability=".".join(capability),
        driver_cuda=f"{version.value // 1000}.{version.value % 1000 // 10}",
    )


def first_gpu_bus_id() -> str | None:
    """Return the PCI bus id of the first GPU, such as "0000:17:00.0", or None without one."""
    if find_gpu() is None:  # which starts the driver
        return None
    driver, device = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
    bus_id = ctypes.create_string_buffer(32)
    driver.cuDeviceGet(ctypes.byref(device), 0)
    if driver.cuDeviceGetPCIBusId(bus_id, len(bus_id), device) != 0:
        return None
    return bus_id.value.decode()
