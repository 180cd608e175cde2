"""A CUDA runtime that records its calls and can fail, in cuda-python's clothes."""

from __future__ import annotations

import ctypes
from enum import IntEnum
from itertools import count
from types import SimpleNamespace

# ruff: noqa: N815  (CUDA's own names)


class Status(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorStreamCaptureInvalidated = 901


class FakeCudart:
    """cuda.bindings.runtime: each function returns a status, and what it made.

    Attributes:
        calls: (name, *arguments), in order.
        fails: name -> status.
    """

    cudaError_t = Status
    cudaStreamNonBlocking, cudaEventDisableTiming = 1, 2
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="in", cudaMemcpyDeviceToHost="out")
    cudaMemoryType = SimpleNamespace(
        cudaMemoryTypeHost=1, cudaMemoryTypeDevice=2, cudaMemoryTypeManaged=3
    )
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="thread")
    _makes = {  # noqa: RUF012
        "cudaGetDeviceCount": 1, "cudaGetDevice": 1, "cudaMemGetInfo": 2, "cudaMalloc": 1,
        "cudaMallocHost": 1, "cudaPointerGetAttributes": 1, "cudaStreamCreateWithFlags": 1,
        "cudaEventCreate": 1, "cudaEventCreateWithFlags": 1, "cudaEventElapsedTime": 1,
        "cudaStreamEndCapture": 1, "cudaGraphInstantiate": 1,
    }  # fmt: skip
    takes = {  # noqa: RUF012  (as cuda-bindings 13.5 says)
        "cudaGetDeviceCount": 0, "cudaGetDevice": 0, "cudaSetDevice": 1, "cudaMemGetInfo": 0,
        "cudaMalloc": 1, "cudaFree": 1, "cudaMallocHost": 1, "cudaFreeHost": 1,
        "cudaPointerGetAttributes": 1, "cudaGetLastError": 0, "cudaStreamCreateWithFlags": 1,
        "cudaStreamDestroy": 1, "cudaMemcpyAsync": 5, "cudaStreamSynchronize": 1,
        "cudaEventCreate": 0, "cudaEventCreateWithFlags": 1, "cudaEventRecord": 2,
        "cudaStreamWaitEvent": 3, "cudaEventDestroy": 1, "cudaEventElapsedTime": 2,
        "cudaStreamBeginCapture": 2, "cudaStreamEndCapture": 1, "cudaGraphInstantiate": 2,
        "cudaGraphDestroy": 1, "cudaGraphLaunch": 2, "cudaGraphExecDestroy": 1,
    }  # fmt: skip

    def __init__(self):
        self.calls, self.fails, self.handles, self.host = [], {}, count(500), []
        self.device, self.pointer = 0, SimpleNamespace(type=2, device=0)

    def __getattr__(self, name):
        if name not in self.takes:
            raise AttributeError(name)

        def call(*arguments):
            assert len(arguments) == self.takes[name], name
            self.calls.append((name, *arguments))
            status = self.fails.get(name, Status.cudaSuccess)
            if status:
                return (status, *[None] * self._makes.get(name, 0))
            return (status, *self._made(name, arguments))

        return call

    def _made(self, name, arguments):
        if name == "cudaSetDevice":
            (self.device,) = arguments
        if name == "cudaMallocHost":
            self.host.append(ctypes.create_string_buffer(arguments[0]))
            return (ctypes.addressof(self.host[-1]),)
        known = {
            "cudaGetDeviceCount": (1,),
            "cudaGetDevice": (self.device,),
            "cudaMemGetInfo": (300, 1000),
            "cudaPointerGetAttributes": (self.pointer,),
            "cudaEventElapsedTime": (1.5,),
        }
        return known.get(name, tuple(next(self.handles) for _ in range(self._makes.get(name, 0))))

    def cudaGetErrorString(self, status):  # noqa: N802
        return Status.cudaSuccess, f"it said {status.name}".encode()

    def names(self):
        return [call[0] for call in self.calls]
