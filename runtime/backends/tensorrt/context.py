"""Run execution contexts: their streams, buffers and CUDA graphs, one for each thread that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import prod
from threading import Condition
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import ArtifactError, BadInput, NoDevice, OutOfMemory, ShapeError

from ...devices import Device, DeviceArray, DeviceView
from ...devices.device import LEGACY_STREAM
from ...devices.memory import PinnedResults, ResultMemory
from .engine import OpenedEngine

__all__ = ["Buffers", "ContextPool", "ExecutionContext", "Graphs"]


class Buffers:
    """Hold a block on the GPU and one of pinned host memory for each tensor; both only grow.

    Attributes:
        addresses: of the blocks on the GPU.
        hosts: the blocks on the host, as bytes.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self.addresses: list[int] = []
        self.hosts: list[NDArray[np.uint8]] = []

    def fit(self, sizes: Sequence[int]) -> bool:
        """Make room for `sizes` bytes of each tensor; return True if a block has moved.

        Raises:
            OutOfMemory: there are no buffers then.
        """
        held = [host.nbytes for host in self.hosts] or [0] * len(sizes)
        if all(size <= room for size, room in zip(sizes, held, strict=True)):
            return False
        largest = [max(pair) for pair in zip(sizes, held, strict=True)]
        self.free()
        try:
            for size in largest:
                self.addresses.append(self._device.allocate(size))
                self.hosts.append(self._device.allocate_pinned(size))
        except BaseException:
            self.free()
            raise
        return True

    def free(self) -> None:
        """Free all of it."""
        while self.hosts:
            self._device.free_pinned(self.hosts.pop())
        while self.addresses:
            self._device.free(self.addresses.pop())


class Graphs:
    """Capture launches of an engine's contexts; stop for all once one cannot be captured.

    Attributes:
        strategy: how launches are made, for people.
        refused: why no graph is captured; None where it is.
    """

    def __init__(self, device: Device, *, library_captures: bool) -> None:
        self._device = device
        self._captures = not library_captures
        self.strategy = "captured by the library" if library_captures else "captured per shape"
        self.refused: str | None = None

    def captured(self, stream: int, enqueue: Callable[[int], None]) -> int | None:
        """Return a graph of what `enqueue` gives the stream, or None where there shall be none."""
        if not self._captures:
            return None
        try:
            self._device.begin_capture(stream)
            try:
                enqueue(stream)
            except BaseException:
                with suppress(NoDevice):  # the capture must end, and says no more than we know
                    self._device.close_graph(self._device.end_capture(stream))
                raise
            return self._device.end_capture(stream)
        except (NoDevice, ArtifactError) as error:
            self._captures = False
            self.strategy, self.refused = "none", str(error)
            return None

    @property
    def info(self) -> dict[str, str]:
        """Return the entry of `Session.info` about CUDA graphs."""
        said = {"cuda_graph": self.strategy}
        return said if self.refused is None else {**said, "cuda_graph_refused": self.refused}


Shapes = tuple[tuple[int, ...], ...]


class ExecutionContext:
    """Run an engine for one thread at a time, with the device current.

    A graph holds for the shapes that are set: what the library keeps on the GPU for them may change
    with the next ones. It is captured on the second run of the same shapes, since the first one
    still works on what is new.

    Attributes:
        shapes: of the inputs it is set up for; None before the first run.
        stream: where it runs.
    """

    def __init__(
        self,
        device: Device,
        opened: OpenedEngine,
        graphs: Graphs,
        *,
        outside: int | None = None,
        fixed: bool = False,
    ) -> None:
        self._device, self._graphs = device, graphs
        self._inputs, self._outputs = opened.inputs, opened.outputs
        self._bound = opened.bound
        self._buffers = Buffers(device)
        self._context = opened.create_context(fixed=fixed)
        # An outside stream is not captured: its owner may be giving it work at the same time.
        self._own_stream = device.open_stream()
        self.stream = self._own_stream if outside is None else outside
        self.shapes: Shapes | None = None
        self._results: list[tuple[int, ...]] = []
        self._addresses: list[int] = []
        self._feeds: list[NDArray[Any]] = []
        self._fetched: list[NDArray[Any]] = []
        self._graph: int | None = None
        self._warm = False

    def run(
        self, arrays: tuple[NDArray[Any], ...], pinned: PinnedResults
    ) -> tuple[NDArray[Any], ...]:
        """Copy in, launch, copy out, wait; the results are in memory of their own."""
        self.set_up(tuple(array.shape for array in arrays))
        self.copy_in(self.feed(arrays))
        self.launch()
        own = [pinned.array(fetched.shape, fetched.dtype) for fetched in self._fetched]
        targets = [
            fetched if array is None else array
            for fetched, array in zip(self._fetched, own, strict=True)
        ]
        self.copy_out(targets)
        self._device.synchronize(self.stream)
        return tuple(
            target.copy() if array is None else array
            for target, array in zip(targets, own, strict=True)
        )

    def run_on_device(
        self, views: tuple[DeviceView, ...], memory: ResultMemory, *, wait: bool
    ) -> tuple[DeviceArray, ...]:
        """Launch where the inputs lie, leave the results there; `wait` until they are written."""
        self._set_shapes(tuple(view.shape for view in views))
        results = tuple(
            memory.array(shape, np.dtype(tensor.dtype), self.stream, pending=not wait)
            for tensor, shape in zip(self._outputs, self._results, strict=True)
        )
        # The default stream as well: PyCUDA and torch name no stream where they work in that one,
        # and whoever held the results' memory before may still read it there.
        writing = {LEGACY_STREAM, *(view.stream for view in views if view.stream is not None)}
        for stream in sorted(writing - {self.stream}):
            self._device.follow(self.stream, stream)
        self._address([view.address for view in views] + [result.address for result in results])
        self._enqueue(self.stream)
        if wait:
            self._device.synchronize(self.stream)
        return results

    def set_up(self, shapes: Shapes) -> None:
        """Prepare to run host arrays of `shapes`; allocates only where they are the largest yet.

        Raises:
            ShapeError: the engine does not take them.
            OutOfMemory: there is no room for them; smaller ones still run.
        """
        if shapes == self.shapes and self._feeds:
            return
        self._set_shapes(shapes)
        forms = [
            (shape, np.dtype(tensor.dtype))
            for tensor, shape in (
                *zip(self._inputs, shapes, strict=True),
                *zip(self._outputs, self._results, strict=True),
            )
        ]
        sizes = [prod(shape) * dtype.itemsize for shape, dtype in forms]
        self._feeds = []
        self._buffers.fit(sizes)
        hosts = [
            host[:size].view(dtype).reshape(shape)
            for host, size, (shape, dtype) in zip(self._buffers.hosts, sizes, forms, strict=True)
        ]
        self._feeds = hosts[: len(self._inputs)]
        self._fetched = hosts[len(self._inputs) :]

    def feed(self, arrays: tuple[NDArray[Any], ...]) -> list[NDArray[Any]]:
        """Return the inputs in pinned memory: put there, or as they are where they lie in it."""
        sources = []
        for feed, array in zip(self._feeds, arrays, strict=True):
            if array.flags.c_contiguous and self._device.pins(array.ctypes.data):
                sources.append(array)
            else:
                np.copyto(feed, array)
                sources.append(feed)
        return sources

    def copy_in(self, sources: list[NDArray[Any]]) -> None:
        """Copy the inputs to the GPU, in stream order."""
        for source, address in zip(sources, self._buffers.addresses, strict=False):
            self._device.copy_in(address, source, self.stream)

    def launch(self) -> None:
        """Run on what lies in the buffers, in stream order."""
        if self._graph is None:
            self._address(self._buffers.addresses)
            if self._warm:
                self._graph = self._graphs.captured(self._own_stream, self._enqueue)
        if self._graph is None:
            self._enqueue(self.stream)
            self._warm = True
        else:
            self._device.launch(self._graph, self.stream)

    def copy_out(self, targets: list[NDArray[Any]] | None = None) -> None:
        """Copy the outputs to pinned memory, in stream order; by default to the context's own."""
        addresses = self._buffers.addresses[len(self._feeds) :]
        for target, address in zip(targets or self._fetched, addresses, strict=True):
            self._device.copy_out(target, address, self.stream)

    def fetched(self) -> tuple[NDArray[Any], ...]:
        """Return the outputs that were copied out, in memory of their own."""
        return tuple(fetched.copy() for fetched in self._fetched)

    def close(self) -> None:
        """Free all but the engine; the graph goes before the context that it runs."""
        self._forget()
        self._device.synchronize(self.stream)
        del self._context
        self._buffers.free()
        self._device.close_stream(self._own_stream)

    def _set_shapes(self, shapes: Shapes) -> None:
        if shapes == self.shapes:
            return
        bound = self._bound(shapes)
        self._forget()
        for tensor, shape in zip(self._inputs, bound, strict=True):
            if not self._context.set_input_shape(tensor.name, shape):
                raise ShapeError(f"The engine refuses this size of {tensor.name!r}", got=shape)
        results = [tuple(self._context.get_tensor_shape(tensor.name)) for tensor in self._outputs]
        for tensor, shape in zip(self._outputs, results, strict=True):
            if min(shape, default=0) < 0:
                raise ShapeError(
                    f"The size of output {tensor.name!r} is not known before the run", got=shape
                )
        self._results, self.shapes = results, shapes

    def _forget(self) -> None:
        """Drop what holds for the shapes that were set."""
        self.shapes, self._feeds, self._addresses, self._warm = None, [], [], False
        if self._graph is not None:
            self._device.close_graph(self._graph)
            self._graph = None

    def _address(self, addresses: list[int]) -> None:
        if addresses == self._addresses:
            return
        self._addresses = []
        for tensor, address in zip((*self._inputs, *self._outputs), addresses, strict=True):
            if not self._context.set_tensor_address(tensor.name, address):
                raise ArtifactError(
                    f"The engine refuses the memory of {tensor.name!r}", got=hex(address)
                )
        self._addresses = list(addresses)

    def _enqueue(self, stream: int) -> None:
        if not self._context.execute_async_v3(stream):
            raise ArtifactError("The engine did not run", hint="see TensorRT's message above")


class ContextPool:
    """Make a context when all are at work, up to `most`, or up to what the memory holds.

    Attributes:
        made: how many there are.
        most: how many there may be.
    """

    def __init__(self, make: Callable[[], ExecutionContext], most: int) -> None:
        self._make = make
        self._idle = [make()]
        self._changed = Condition()
        self._closed = False
        self.made = 1
        self.most = most

    @contextmanager
    def context(self, shapes: tuple[tuple[int, ...], ...]) -> Iterator[ExecutionContext]:
        """Hold a context, one that is set up for `shapes` if there is one.

        Raises:
            BadInput: the pool is closed.
        """
        taken = self._taken(shapes)
        try:
            yield taken
        finally:
            with self._changed:
                self._idle.append(taken)
                self._changed.notify()

    def close(self) -> None:
        """Wait for the contexts at work, then close all."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while len(self._idle) < self.made:
                self._changed.wait()
            while self._idle:
                self._idle.pop().close()
            self.made = 0

    def _taken(self, shapes: tuple[tuple[int, ...], ...]) -> ExecutionContext:
        while True:
            with self._changed:
                while not self._idle and self.made == self.most and not self._closed:
                    self._changed.wait()
                if self._closed:
                    raise BadInput("The session is closed", hint="open it again with open_session")
                if self._idle:
                    ready = (n for n, idle in enumerate(self._idle) if idle.shapes == shapes)
                    return self._idle.pop(next(ready, -1))
                self.made += 1
            try:
                return self._make()
            except OutOfMemory:
                with self._changed:
                    # The others work: no more are made, and this thread waits its turn.
                    self.made -= 1
                    self.most = self.made
                    self._changed.notify_all()
            except BaseException:
                with self._changed:
                    self.made -= 1
                    self._changed.notify_all()
                raise
