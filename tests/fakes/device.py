"""A GPU of NumPy arrays, which remembers what it did: the device layer of tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import NoDevice
from unetrt.runtime.devices.device import LEGACY_STREAM, out_of_memory

__all__ = ["FakeDevice"]

_ALIGNMENT = 256


class FakeDevice:
    """Streams do at once what they are given, or keep it while they are captured.

    Attributes:
        done: a word for each thing done, in order.
        held: what is not given back yet: kind ("memory", "pinned", ...) and handle.
        room: bytes that may be allocated; change it to run out of memory.
        capturable: set it to False and no graph can be captured.
    """

    name, layer = "fake", "NumPy"

    def __init__(self, room: int = 1 << 30) -> None:
        self.done: list[str] = []
        self.held: dict[tuple[str, int], Any] = {}
        self.room = room
        self.capturable = True
        self._handles = count(100)
        self._addresses = count(1 << 20, 1 << 24)
        self._captured: dict[int, list[Callable[[], object]]] = {}
        self._thread = local()

    @contextmanager
    def current(self) -> Iterator[None]:
        depth = getattr(self._thread, "depth", 0)
        self._thread.depth = depth + 1
        try:
            yield
        finally:
            self._thread.depth = depth

    def memory(self) -> tuple[int, int]:
        return self.room - self._used(), self.room

    def allocate(self, nbytes: int) -> int:
        self._say("allocate")
        if self._used() + nbytes > self.room:
            raise out_of_memory(nbytes, "on the fake", f"{self.memory()[0]} free of {self.room}")
        address = next(self._addresses)
        self.held["memory", address] = np.zeros(nbytes, np.uint8)
        return address

    def free(self, address: int) -> None:
        self._say("free")
        del self.held["memory", address]

    def allocate_pinned(self, nbytes: int) -> NDArray[np.uint8]:
        self._say("pin")
        array = np.zeros(nbytes, np.uint8)
        self.held["pinned", array.ctypes.data] = array
        return array

    def free_pinned(self, array: NDArray[np.uint8]) -> None:
        self._say("unpin")
        del self.held["pinned", array.ctypes.data]

    def pins(self, address: int) -> bool:
        return self._is("pinned", address)

    def holds(self, address: int) -> bool:
        return self._is("memory", address)

    def bytes_at(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        """Return the memory itself; it must be aligned as TensorRT wants, and all there."""
        memory: NDArray[np.uint8] = self.held["memory", address]
        if address % _ALIGNMENT or memory.nbytes < nbytes:
            raise NoDevice("A CUDA call failed", got="cudaErrorIllegalAddress")
        return memory[:nbytes]

    def open_stream(self) -> int:
        return self._open("stream")

    def close_stream(self, stream: int) -> None:
        self._close("stream", stream)

    def copy_in(self, address: int, array: NDArray[Any], stream: int) -> None:
        target = self.bytes_at(address, array.nbytes)
        self.give("in", stream, lambda: np.copyto(target, array.view(np.uint8).reshape(-1)))

    def copy_out(self, array: NDArray[Any], address: int, stream: int) -> None:
        source = self.bytes_at(address, array.nbytes)
        target = array.reshape(-1).view(np.uint8)
        self.give("out", stream, lambda: np.copyto(target, source))

    def give(self, what: str, stream: int, work: Callable[[], object]) -> None:
        """Do something in a stream, or keep it where the stream is captured."""
        self._must_be_open(stream)
        if stream in self._captured:
            self._captured[stream].append(work)
        else:
            self._say(what)
            work()

    def synchronize(self, stream: int) -> None:
        self._must_be_open(stream)
        self._say("synchronize")

    def follow(self, stream: int, other: int) -> None:
        self._must_be_open(stream)
        self._say(f"{stream} follows {other}")

    def open_event(self) -> int:
        return self._open("event")

    def close_event(self, event: int) -> None:
        self._close("event", event)

    def record(self, event: int, stream: int) -> None:
        self._must_be_open(stream)
        self.held["event", event] = len(self.done)
        self._say("record")

    def elapsed_ns(self, start: int, end: int) -> int:
        return int(self.held["event", end] - self.held["event", start])

    def begin_capture(self, stream: int) -> None:
        self._say("capture")
        self._captured[stream] = []

    def end_capture(self, stream: int) -> int:
        kept = self._captured.pop(stream)
        if not self.capturable:
            raise NoDevice("A CUDA call failed", got="cudaErrorStreamCaptureInvalidated")
        graph = self._open("graph")
        self.held["graph", graph] = kept
        return graph

    def launch(self, graph: int, stream: int) -> None:
        self._must_be_open(stream)
        self._say("launch")
        for work in self.held["graph", graph]:
            work()

    def close_graph(self, graph: int) -> None:
        self._close("graph", graph)

    def _is(self, kind: str, address: int) -> bool:
        return any(
            start <= address < start + array.nbytes
            for (of, start), array in list(self.held.items())
            if of == kind
        )

    def _open(self, kind: str) -> int:
        handle = next(self._handles)
        self.held[kind, handle] = None
        return handle

    def _close(self, kind: str, handle: int) -> None:
        self._say(f"close {kind}")
        del self.held[kind, handle]

    def _say(self, what: str) -> None:
        if not getattr(self._thread, "depth", 0):
            raise NoDevice("A CUDA call failed", got=f"no current context to {what} in")
        self.done.append(what)

    def _must_be_open(self, stream: int) -> None:
        # Small numbers are other libraries' streams: 0 and 1 the default one, and those of tests.
        if stream >= LEGACY_STREAM + 99 and ("stream", stream) not in self.held:
            raise NoDevice("A CUDA call failed", got="cudaErrorInvalidResourceHandle")

    def _used(self) -> int:
        return sum(array.nbytes for (kind, _), array in list(self.held.items()) if kind == "memory")
