"""The device layer over PyCUDA."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from unetrt import vendor

__all__ = ["open_device"]


def open_device() -> _PyCuda:
    """Open the first GPU in its primary context, which TensorRT uses too."""
    return _PyCuda(vendor.pycuda_driver())


class _PyCuda:
    def __init__(self, cuda: Any) -> None:
        cuda.init()
        device = cuda.Device(0)
        self.name = device.name()
        self._cuda = cuda
        self._context = device.retain_primary_context()
        self._context.push()
        self._stream = cuda.Stream()
        self.stream = int(self._stream.handle)
        self._allocations: dict[int, Any] = {}

    def allocate(self, nbytes: int) -> int:
        allocation = self._cuda.mem_alloc(nbytes)
        self._allocations[int(allocation)] = allocation
        return int(allocation)

    def free(self, address: int) -> None:
        self._allocations.pop(address).free()

    def copy_in(self, address: int, array: NDArray[Any]) -> None:
        self._cuda.memcpy_htod_async(address, array, self._stream)

    def copy_out(self, array: NDArray[Any], address: int) -> None:
        self._cuda.memcpy_dtoh_async(array, address, self._stream)

    def synchronize(self) -> None:
        self._stream.synchronize()

    def close(self) -> None:
        del self._stream
        self._context.pop()
