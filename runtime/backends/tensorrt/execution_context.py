"""One execution context: its stream, its buffers, and the graph of its launch."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import ArtifactError, ShapeError

from ...devices import Device, DeviceArray, DeviceView
from ...devices.device import LEGACY_STREAM
from ...devices.pinned_results import PinnedResults
from ...devices.result_memory import ResultMemory
from .buffers import Buffers
from .graphs import Graphs
from .opened_engine import OpenedEngine

__all__ = ["ExecutionContext"]

Shapes = tuple[tuple[int, ...], ...]


class ExecutionContext:
    """For one thread at a time, with the device current.

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
        """Be ready to run host arrays of `shapes`; allocates only where they are the largest yet.

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
        """Give back all but the engine; the graph goes before the context that it runs."""
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
