"""The CUDA driver's own functions on streams, events and graphs, by their integer handles."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from unetrt.errors import NoDevice

__all__ = ["Driver"]

_LIBRARY = "libcuda.so.1"
_DISABLE_TIMING = 2
_THREAD_LOCAL = 1
_POINTER_MEMORY_TYPE = 2
_POINTER_ORDINAL = 9
_PINNED_MEMORY, _MEMORY_OF_A_DEVICE = 1, 2


class Driver:
    """What a binding lacks; every function works in the calling thread's current context.

    Args:
        library: the loaded driver; None loads this machine's.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = library
        if library is None:
            try:
                self._library = ctypes.CDLL(_LIBRARY)
            except OSError as error:
                raise NoDevice(
                    "There is no NVIDIA driver",
                    got=error,
                    hint="install one, or run where there is one: see what nvidia-smi says",
                ) from error

    def copy_in(self, address: int, source: int, nbytes: int, stream: int) -> None:
        """Copy from the host, in stream order."""
        self._call(
            "cuMemcpyHtoDAsync_v2", _word(address), _word(source), _word(nbytes), _at(stream)
        )

    def copy_out(self, target: int, address: int, nbytes: int, stream: int) -> None:
        """Copy to the host, in stream order."""
        self._call(
            "cuMemcpyDtoHAsync_v2", _word(target), _word(address), _word(nbytes), _at(stream)
        )

    def synchronize(self, stream: int) -> None:
        """Wait for a stream."""
        self._call("cuStreamSynchronize", _at(stream))

    def open_event(self, *, timed: bool = True) -> int:
        """Return a new event."""
        return self._made("cuEventCreate", ctypes.c_uint(0 if timed else _DISABLE_TIMING))

    def close_event(self, event: int) -> None:
        """Give an event back; it lives on until it happened."""
        self._call("cuEventDestroy_v2", _at(event))

    def record(self, event: int, stream: int) -> None:
        """Let an event happen when a stream gets there."""
        self._call("cuEventRecord", _at(event), _at(stream))

    def wait(self, stream: int, event: int) -> None:
        """Let a stream wait for an event."""
        self._call("cuStreamWaitEvent", _at(stream), _at(event), ctypes.c_uint(0))

    def elapsed_ms(self, start: int, end: int) -> float:
        """Return the time between two events that have happened."""
        elapsed = ctypes.c_float()
        self._call("cuEventElapsedTime", ctypes.byref(elapsed), _at(start), _at(end))
        return elapsed.value

    def begin_capture(self, stream: int) -> None:
        """Keep what this thread gives a stream, instead of doing it."""
        self._call("cuStreamBeginCapture_v2", _at(stream), ctypes.c_int(_THREAD_LOCAL))

    def end_capture(self, stream: int) -> int:
        """Return what was kept, ready to launch."""
        graph = ctypes.c_void_p()
        self._call("cuStreamEndCapture", _at(stream), ctypes.byref(graph))
        try:
            return self._made("cuGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0))
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, graph: int, stream: int) -> None:
        """Do what a graph keeps."""
        self._call("cuGraphLaunch", _at(graph), _at(stream))

    def close_graph(self, graph: int) -> None:
        """Give a graph back."""
        self._call("cuGraphExecDestroy", _at(graph))

    def pins(self, address: int) -> bool:
        """Whether an address is pinned host memory."""
        return self._asked(_POINTER_MEMORY_TYPE, address) == _PINNED_MEMORY

    def ordinal_of(self, address: int) -> int | None:
        """Return the number of the GPU whose memory this is, or None where it is none's."""
        if self._asked(_POINTER_MEMORY_TYPE, address) != _MEMORY_OF_A_DEVICE:
            return None
        return self._asked(_POINTER_ORDINAL, address)

    def _asked(self, attribute: int, address: int) -> int | None:
        answer, where = ctypes.c_int(), ctypes.c_int(attribute)
        get = self._library.cuPointerGetAttribute
        status = get(ctypes.byref(answer), where, _word(address))
        return None if status else answer.value

    def _made(self, name: str, *arguments: Any) -> int:
        handle = ctypes.c_void_p()
        self._call(name, ctypes.byref(handle), *arguments)
        return handle.value or 0

    def _call(self, name: str, *arguments: Any) -> None:
        function: Callable[..., int] = getattr(self._library, name)
        status = function(*arguments)
        if status != 0:
            text = ctypes.c_char_p()
            self._library.cuGetErrorName(ctypes.c_int(status), ctypes.byref(text))
            said = (text.value or b"an error without a name").decode()
            raise NoDevice("A CUDA call failed", got=f"{said} from {name}")


def _at(handle: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(handle)


def _word(number: int) -> ctypes.c_size_t:
    """Return an address or a size: CUDA's device pointers are numbers, 64 bits wide."""
    return ctypes.c_size_t(number)
