"""What an engine asks of a GPU binding."""

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
    """One GPU. Addresses, streams, events and graphs are integers, CUDA's own handles.

    All but `current` is called with `current()` held, by any thread.
    """

    @property
    def name(self) -> str:
        """The GPU's name."""

    @property
    def layer(self) -> str:
        """The binding and its version."""

    def current(self) -> AbstractContextManager[object]:
        """Make this GPU the calling thread's own, as CUDA and TensorRT want, and undo it after."""

    def memory(self) -> tuple[int, int]:
        """Return the bytes that are free, and all there are."""

    def allocate(self, nbytes: int) -> int:
        """Return the address of new device memory; raises OutOfMemory."""

    def free(self, address: int) -> None:
        """Give device memory back."""

    def allocate_pinned(self, nbytes: int) -> NDArray[np.uint8]:
        """Return host memory that the GPU copies from and to by itself; raises OutOfMemory."""

    def free_pinned(self, array: NDArray[np.uint8]) -> None:
        """Give back what `allocate_pinned` returned."""

    def pins(self, address: int) -> bool:
        """Whether an address is pinned host memory, which the GPU copies from by itself."""

    def holds(self, address: int) -> bool:
        """Whether an address is memory of this GPU."""

    def open_stream(self) -> int:
        """Return a new stream, which the default stream does not wait for."""

    def close_stream(self, stream: int) -> None:
        """Give a stream back."""

    def copy_in(self, address: int, array: NDArray[Any], stream: int) -> None:
        """Copy a contiguous host array to the device, in stream order."""

    def copy_out(self, array: NDArray[Any], address: int, stream: int) -> None:
        """Copy device memory into a contiguous host array, in stream order."""

    def synchronize(self, stream: int) -> None:
        """Wait until the stream has done all it was given."""

    def follow(self, stream: int, other: int) -> None:
        """Let what comes next on `stream` wait for what `other` was given until now."""

    def open_event(self) -> int:
        """Return a new event, which keeps time."""

    def close_event(self, event: int) -> None:
        """Give an event back."""

    def record(self, event: int, stream: int) -> None:
        """Let the event happen when the stream gets there."""

    def elapsed_ns(self, start: int, end: int) -> int:
        """Return the time between two events that have happened."""

    def begin_capture(self, stream: int) -> None:
        """Keep what this thread gives the stream from now on, instead of doing it."""

    def end_capture(self, stream: int) -> int:
        """Return what was kept as a graph; raises NoDevice where something cannot be kept."""

    def launch(self, graph: int, stream: int) -> None:
        """Do what a graph keeps, in stream order."""

    def close_graph(self, graph: int) -> None:
        """Give a graph back."""


def out_of_memory(nbytes: int, where: str, available: str) -> OutOfMemory:
    """Return the error of an allocation that did not succeed, in every layer's words."""
    return OutOfMemory(
        f"Cannot allocate {nbytes} bytes {where}",
        got=available,
        hint="run a smaller batch or size, or close what else uses the memory; "
        "the session stays usable",
    )
