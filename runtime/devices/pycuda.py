"""The device layer over PyCUDA: its contexts, memory and streams.

PyCUDA 2026.1 has no graphs, and its copies and events take only its own Stream objects; what works
on streams goes to the driver by their handles, so that another library's streams do too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.errors import NoDevice

from .device import out_of_memory
from .driver import Driver

__all__ = ["open_device"]

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
