"""The device layer over cuda-python's runtime bindings."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from unetrt import vendor
from unetrt.errors import NoDevice
from unetrt.gpu import find_gpu

__all__ = ["open_device"]


def open_device() -> _CudaPython:
    """Open the first GPU."""
    return _CudaPython(vendor.cuda_runtime())


class _CudaPython:
    def __init__(self, cudart: Any) -> None:
        self._cudart = cudart
        gpu = find_gpu()
        self.name = gpu.name if gpu is not None else "none"
        self._stream = self._call(cudart.cudaStreamCreate())
        self.stream = int(self._stream)

    def allocate(self, nbytes: int) -> int:
        return int(self._call(self._cudart.cudaMalloc(nbytes)))

    def free(self, address: int) -> None:
        self._call(self._cudart.cudaFree(address))

    def copy_in(self, address: int, array: NDArray[Any]) -> None:
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._copy(address, array.ctypes.data, array.nbytes, kind)

    def copy_out(self, array: NDArray[Any], address: int) -> None:
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._copy(array.ctypes.data, address, array.nbytes, kind)

    def synchronize(self) -> None:
        self._call(self._cudart.cudaStreamSynchronize(self._stream))

    def close(self) -> None:
        self._call(self._cudart.cudaStreamDestroy(self._stream))

    def _copy(self, target: int, source: int, nbytes: int, kind: Any) -> None:
        self._call(self._cudart.cudaMemcpyAsync(target, source, nbytes, kind, self._stream))

    def _call(self, returned: tuple[Any, ...]) -> Any:
        """Return what a CUDA call gave, or raise what it says went wrong."""
        status, *values = returned
        if status != self._cudart.cudaError_t.cudaSuccess:
            _, text = self._cudart.cudaGetErrorString(status)
            raise NoDevice("A CUDA call failed", got=f"{status.name}: {text.decode()}")
        return values[0] if values else None
