"""Reach the GPU through cuda-python's bindings of the CUDA runtime."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.errors import NoDevice
from unetrt.gpu import find_gpu

from .device import out_of_memory

__all__ = ["open_device"]


def open_device() -> _CudaPython:
    """Open the first GPU.

    Raises:
        NoDevice: there is no driver, or no GPU.
    """
    return _CudaPython(vendor.cuda_runtime())


class _CudaPython:
    def __init__(self, cudart: Any) -> None:
        self._cudart = cudart
        count = self._call(cudart.cudaGetDeviceCount())
        gpu = find_gpu()
        if count == 0 or gpu is None:
            raise NoDevice("There is no NVIDIA GPU", hint="see what nvidia-smi says")
        self.name = gpu.name
        self.layer = f"cuda-python {vendor.version('cuda-bindings')}"
        self._pinned: dict[int, int] = {}

    @contextmanager
    def current(self) -> Iterator[None]:
        before = self._call(self._cudart.cudaGetDevice())
        if before == 0:
            yield
            return
        self._call(self._cudart.cudaSetDevice(0))
        try:
            yield
        finally:
            self._call(self._cudart.cudaSetDevice(before))

    def memory(self) -> tuple[int, int]:
        free, total = self._values(self._cudart.cudaMemGetInfo())
        return int(free), int(total)

    def allocate(self, nbytes: int) -> int:
        status, address = self._cudart.cudaMalloc(nbytes)
        if self._is_full(status):
            free, total = self.memory()
            raise out_of_memory(nbytes, f"on {self.name}", f"{free} free of {total}")
        return int(self._call((status, address)))

    def free(self, address: int) -> None:
        self._call(self._cudart.cudaFree(address))

    def allocate_pinned(self, nbytes: int) -> NDArray[np.uint8]:
        status, address = self._cudart.cudaMallocHost(nbytes)
        if self._is_full(status):
            raise out_of_memory(nbytes, "of pinned memory on the host", "none")
        pointer = int(self._call((status, address)))
        block = (ctypes.c_uint8 * nbytes).from_address(pointer)
        array: NDArray[np.uint8] = np.ctypeslib.as_array(block)
        self._pinned[array.ctypes.data] = pointer
        return array

    def free_pinned(self, array: NDArray[np.uint8]) -> None:
        self._call(self._cudart.cudaFreeHost(self._pinned.pop(array.ctypes.data)))

    def pins(self, address: int) -> bool:
        found = self._found_at(address)
        return found is not None and bool(
            found.type == self._cudart.cudaMemoryType.cudaMemoryTypeHost
        )

    def holds(self, address: int) -> bool:
        found, kinds = self._found_at(address), self._cudart.cudaMemoryType
        if found is None or found.type not in {
            kinds.cudaMemoryTypeDevice,
            kinds.cudaMemoryTypeManaged,
        }:
            return False
        return int(found.device) == 0

    def open_stream(self) -> int:
        flags = self._cudart.cudaStreamNonBlocking
        return int(self._call(self._cudart.cudaStreamCreateWithFlags(flags)))

    def close_stream(self, stream: int) -> None:
        self._call(self._cudart.cudaStreamDestroy(stream))

    def copy_in(self, address: int, array: NDArray[Any], stream: int) -> None:
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        source = array.ctypes.data
        self._call(self._cudart.cudaMemcpyAsync(address, source, array.nbytes, kind, stream))

    def copy_out(self, array: NDArray[Any], address: int, stream: int) -> None:
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        target = array.ctypes.data
        self._call(self._cudart.cudaMemcpyAsync(target, address, array.nbytes, kind, stream))

    def synchronize(self, stream: int) -> None:
        self._call(self._cudart.cudaStreamSynchronize(stream))

    def follow(self, stream: int, other: int) -> None:
        flags = self._cudart.cudaEventDisableTiming
        event = self._call(self._cudart.cudaEventCreateWithFlags(flags))
        try:
            self._call(self._cudart.cudaEventRecord(event, other))
            self._call(self._cudart.cudaStreamWaitEvent(stream, event, 0))
        finally:
            self._call(self._cudart.cudaEventDestroy(event))  # it lives on until it happened

    def open_event(self) -> int:
        return int(self._call(self._cudart.cudaEventCreate()))

    def close_event(self, event: int) -> None:
        self._call(self._cudart.cudaEventDestroy(event))

    def record(self, event: int, stream: int) -> None:
        self._call(self._cudart.cudaEventRecord(event, stream))

    def elapsed_ns(self, start: int, end: int) -> int:
        return round(1e6 * float(self._call(self._cudart.cudaEventElapsedTime(start, end))))

    def begin_capture(self, stream: int) -> None:
        # Other threads allocate and copy meanwhile: that is no part of it.
        mode = self._cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call(self._cudart.cudaStreamBeginCapture(stream, mode))

    def end_capture(self, stream: int) -> int:
        graph = self._call(self._cudart.cudaStreamEndCapture(stream))
        try:
            return int(self._call(self._cudart.cudaGraphInstantiate(graph, 0)))
        finally:
            self._call(self._cudart.cudaGraphDestroy(graph))

    def launch(self, graph: int, stream: int) -> None:
        self._call(self._cudart.cudaGraphLaunch(graph, stream))

    def close_graph(self, graph: int) -> None:
        self._call(self._cudart.cudaGraphExecDestroy(graph))

    def _found_at(self, address: int) -> Any:
        """Return what CUDA knows of an address, or None."""
        status, found = self._cudart.cudaPointerGetAttributes(address)
        if status == self._cudart.cudaError_t.cudaSuccess:
            return found
        self._cudart.cudaGetLastError()  # or the next call would be blamed for it
        return None

    def _is_full(self, status: Any) -> bool:
        full = status == self._cudart.cudaError_t.cudaErrorMemoryAllocation
        if full:
            self._cudart.cudaGetLastError()  # or TensorRT's next call would be blamed for it
        return bool(full)

    def _call(self, returned: tuple[Any, ...]) -> Any:
        """Return what a CUDA call gave, or raise what it says went wrong."""
        values = self._values(returned)
        return values[0] if values else None

    def _values(self, returned: tuple[Any, ...]) -> tuple[Any, ...]:
        status, *values = returned
        errors = self._cudart.cudaError_t
        if status == errors.cudaSuccess:
            return tuple(values)
        _, text = self._cudart.cudaGetErrorString(status)
        no_gpu = {errors.cudaErrorInsufficientDriver, errors.cudaErrorNoDevice}
        raise NoDevice(
            "A CUDA call failed",
            got=f"{status.name}: {text.decode()}",
            hint="install an NVIDIA driver, or run where there is one: see what nvidia-smi says"
            if status in no_gpu
            else None,
        )
