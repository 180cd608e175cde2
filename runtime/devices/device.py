"""Define what an engine asks of a GPU binding."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import OutOfMemory

__all__ = ["LEGACY_STREAM", "Device", "out_of_memory"]

LEGACY_STREAM = 1
"""CUDA's handle of the default stream that other libraries work in unless told otherwise."""


class Device(Protocol):
    """Drive one GPU; addresses, streams, events and graphs are integers, CUDA's own handles.

    All but `current` is called with `current()` held, by any thread.
    """

    @property
    def name(self) -> str:
        """Return the GPU's name."""

    @property
    def layer(self) -> str:
        """Return the binding and its version."""

    def current(self) -> AbstractContextManager[object]:
        """Make this GPU current in the calling thread, as CUDA and TensorRT want, for a block."""

    def memory(self) -> tuple[int, int]:
        """Return free and total memory in bytes."""

    def allocate(self, nbytes: int) -> int:
        """Return the address of new device memory; raises OutOfMemory."""

    def free(self, address: int) -> None:
        """Free device memory."""

    def allocate_pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """Return host memory that the GPU copies from and to by itself; raises OutOfMemory."""

    def free_pinned(self, array: NDArray[np.uint8]) -> None:
        """Free what `allocate_pinned` returned."""

    def pins(self, address: int) -> bool:
        """Return True for an address in pinned host memory, which the GPU copies from by itself."""

    def holds(self, address: int) -> bool:
        """Return True for an address in the memory of this GPU."""

    def open_stream(self) -> int:
        """Return a new stream, which the default stream does not wait for."""

    def close_stream(self, stream: int) -> None:
        """Destroy a stream."""

    def copy_in(self, address: int, array: NDArray[Any], stream: int) -> None:
        """Copy a contiguous host array to the device, in stream order."""

    def copy_out(self, array: NDArray[Any], address: int, stream: int) -> None:
        """Copy device memory into a contiguous host array, in stream order."""

    def synchronize(self, stream: int) -> None:
        """Wait until the stream has done all work that was enqueued."""

    def follow(self, stream: int, other: int) -> None:
        """Make later work on `stream` wait for what was enqueued on `other` until now."""

    def open_event(self) -> int:
        """Return a new event with timing."""

    def close_event(self, event: int) -> None:
        """Destroy an event."""

    def record(self, event: int, stream: int) -> None:
        """Record the event on the stream."""

    def elapsed_ns(self, start: int, end: int) -> int:
        """Return the nanoseconds between two events that have happened."""

    def begin_capture(self, stream: int) -> None:
        """Capture what this thread enqueues on the stream from now on, instead of running it."""

    def end_capture(self, stream: int) -> int:
        """Return the captured graph; raises NoDevice where something cannot be captured."""

    def launch(self, graph: int, stream: int) -> None:
        """Launch a graph, in stream order."""

    def close_graph(self, graph: int) -> None:
        """Destroy a graph."""


def out_of_memory(nbytes: int, where: str, available: str) -> OutOfMemory:
    """Return the error of an allocation that did not succeed, in every layer's words."""
    return OutOfMemory(
        f"Cannot allocate {nbytes} bytes {where}",
        got=available,
        hint="run a smaller batch or size, or close what else uses the memory; "
        "the session stays usable",
    )
