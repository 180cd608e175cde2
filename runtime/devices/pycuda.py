"""Reach the GPU through PyCUDA: its contexts, memory and streams."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.errors import NoDevice

from .device import out_of_memory

__all__ = ["Driver"]

_LIBRARY = "libcuda.so.1"
_DISABLE_TIMING = 2
_THREAD_LOCAL = 1
_POINTER_MEMORY_TYPE = 2
_POINTER_ORDINAL = 9
_PINNED_MEMORY, _MEMORY_OF_A_DEVICE = 1, 2


class Driver:
    """Call functions of the driver that PyCUDA lacks, in the calling thread's current context.

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
        """Destroy an event; it lives on until it has happened."""
        self._call("cuEventDestroy_v2", _at(event))

    def record(self, event: int, stream: int) -> None:
        """Record an event on a stream."""
        self._call("cuEventRecord", _at(event), _at(stream))

    def wait(self, stream: int, event: int) -> None:
        """Make a stream wait for an event."""
        self._call("cuStreamWaitEvent", _at(stream), _at(event), ctypes.c_uint(0))

    def elapsed_ms(self, start: int, end: int) -> float:
        """Return the milliseconds between two events that have happened."""
        elapsed = ctypes.c_float()
        self._call("cuEventElapsedTime", ctypes.byref(elapsed), _at(start), _at(end))
        return elapsed.value

    def begin_capture(self, stream: int) -> None:
        """Capture what this thread enqueues on a stream, instead of running it."""
        self._call("cuStreamBeginCapture_v2", _at(stream), ctypes.c_int(_THREAD_LOCAL))

    def end_capture(self, stream: int) -> int:
        """Return what was captured, ready to launch."""
        graph = ctypes.c_void_p()
        self._call("cuStreamEndCapture", _at(stream), ctypes.byref(graph))
        try:
            return self._made("cuGraphInstantiateWithFlags", graph, ctypes.c_ulonglong(0))
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, graph: int, stream: int) -> None:
        """Launch a graph."""
        self._call("cuGraphLaunch", _at(graph), _at(stream))

    def close_graph(self, graph: int) -> None:
        """Destroy a graph."""
        self._call("cuGraphExecDestroy", _at(graph))

    def pins(self, address: int) -> bool:
        """Return True for an address in pinned host memory."""
        return self._asked(_POINTER_MEMORY_TYPE, address) == _PINNED_MEMORY

    def ordinal_of(self, address: int) -> int | None:
        """Return the number of the GPU that owns an address, or None."""
        if self._asked(_POINTER_MEMORY_TYPE, address) != _MEMORY_OF_A_DEVICE:
            return None
        return self._asked(_POINTER_ORDINAL, address)

    def _asked(self, attribute: int, address: int) -> int | None:
        value, kind = ctypes.c_int(), ctypes.c_int(attribute)
        get = self._library.cuPointerGetAttribute
        status = get(ctypes.byref(value), kind, _word(address))
        return None if status else value.value

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


_NON_BLOCKING = 1


def open_device() -> _PyCuda:
    """Open the GPU of PyCUDA's current context, or the first in its primary context.

    Raises:
        NoDevice: there is no driver, or no GPU.
    """
    return _PyCuda(vendor.pycuda_driver(), Driver())


class _PyCuda:
    def __init__(self, cuda: Any, driver: Driver) -> None:
        self._cuda, self._driver = cuda, driver
        try:
            cuda.init()
            # With pycuda.autoinit the caller's arrays live in its context, and only there.
            self._context = cuda.Context.get_current() or cuda.Device(0).retain_primary_context()
            with self.current():
                device = cuda.Context.get_device()
        except cuda.Error as error:
            raise NoDevice(
                "PyCUDA cannot open a GPU", got=error, hint="see what nvidia-smi says"
            ) from error
        self._device = device
        self.name = device.name()
        self.layer = f"pycuda {vendor.version('pycuda')}"
        self._memory: dict[int, Any] = {}
        self._pinned: dict[int, NDArray[np.uint8]] = {}
        self._streams: dict[int, Any] = {}

    @contextmanager
    def current(self) -> Iterator[None]:
        before = self._cuda.Context.get_current()
        if before is not None and before == self._context:
            yield
            return
        # Undone before the thread can end: PyCUDA aborts the process where one still has a context.
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def memory(self) -> tuple[int, int]:
        free, total = self._cuda.mem_get_info()
        return int(free), int(total)

    def allocate(self, nbytes: int) -> int:
        try:
            allocation = self._cuda.mem_alloc(nbytes)
        except self._cuda.MemoryError as error:
            free, total = self.memory()
            raise out_of_memory(nbytes, f"on {self.name}", f"{free} free of {total}") from error
        self._memory[int(allocation)] = allocation
        return int(allocation)

    def free(self, address: int) -> None:
        self._memory.pop(address).free()

    def allocate_pinned(self, nbytes: int) -> NDArray[np.uint8]:
        try:
            array: NDArray[np.uint8] = self._cuda.pagelocked_empty(nbytes, np.uint8)
        except self._cuda.MemoryError as error:
            raise out_of_memory(nbytes, "of pinned memory on the host", "none") from error
        self._pinned[array.ctypes.data] = array
        return array

    def free_pinned(self, array: NDArray[np.uint8]) -> None:
        self._pinned.pop(array.ctypes.data).base.free()  # type: ignore[union-attr]

    def pins(self, address: int) -> bool:
        return self._driver.pins(address)

    def holds(self, address: int) -> bool:
        ordinal = self._driver.ordinal_of(address)
        return ordinal is not None and self._cuda.Device(ordinal) == self._device

    def open_stream(self) -> int:
        stream = self._cuda.Stream(_NON_BLOCKING)
        self._streams[int(stream.handle)] = stream
        return int(stream.handle)

    def close_stream(self, stream: int) -> None:
        del self._streams[stream]

    def copy_in(self, address: int, array: NDArray[Any], stream: int) -> None:
        self._driver.copy_in(address, array.ctypes.data, array.nbytes, stream)

    def copy_out(self, array: NDArray[Any], address: int, stream: int) -> None:
        self._driver.copy_out(array.ctypes.data, address, array.nbytes, stream)

    def synchronize(self, stream: int) -> None:
        self._driver.synchronize(stream)

    def follow(self, stream: int, other: int) -> None:
        event = self._driver.open_event(timed=False)
        try:
            self._driver.record(event, other)
            self._driver.wait(stream, event)
        finally:
            self._driver.close_event(event)

    def open_event(self) -> int:
        return self._driver.open_event()

    def close_event(self, event: int) -> None:
        self._driver.close_event(event)

    def record(self, event: int, stream: int) -> None:
        self._driver.record(event, stream)

    def elapsed_ns(self, start: int, end: int) -> int:
        return round(1e6 * self._driver.elapsed_ms(start, end))

    def begin_capture(self, stream: int) -> None:
        self._driver.begin_capture(stream)

    def end_capture(self, stream: int) -> int:
        return self._driver.end_capture(stream)

    def launch(self, graph: int, stream: int) -> None:
        self._driver.launch(graph, stream)

    def close_graph(self, graph: int) -> None:
        self._driver.close_graph(graph)
