"""An engine with its inputs in place: what is timed as its core."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from numpy.typing import NDArray

from unetrt.errors import BadInput
from unetrt.files import Closing

from ...bound_run import Stages
from ...devices import Device
from .execution_context import ExecutionContext

__all__ = ["BoundEngine"]


class BoundEngine(Closing):
    """A context of its own, warm, its graph captured; see BoundRun for what it does.

    Attributes:
        closed: whether it has given everything back.
    """

    def __init__(
        self, device: Device, context: ExecutionContext, arrays: tuple[NDArray[Any], ...]
    ) -> None:
        self._device, self._context = device, context
        self.closed = False
        with device.current(), ExitStack() as undo:
            undo.callback(context.close)
            context.set_up(tuple(array.shape for array in arrays))
            self._sources = context.feed(arrays)
            context.copy_in(self._sources)
            context.launch()
            device.synchronize(context.stream)
            context.launch()
            device.synchronize(context.stream)
            self._events: list[int] = []
            undo.callback(self._close_events)
            for _ in range(4):
                self._events.append(device.open_event())
            undo.pop_all()

    def launch(self) -> None:
        """Begin a run on the inputs in place."""
        with self._at_work():
            self._context.launch()

    def wait(self) -> None:
        """Return when every run that was launched is done."""
        with self._at_work():
            self._device.synchronize(self._context.stream)

    def compute_ns(self) -> int:
        """Launch, wait, and return the time between the events around it."""
        start, end = self._events[:2]
        with self._at_work():
            self._device.record(start, self._context.stream)
            self._context.launch()
            self._device.record(end, self._context.stream)
            self._device.synchronize(self._context.stream)
            return self._device.elapsed_ns(start, end)

    def stages(self) -> Stages:
        """Run once from pinned host memory to pinned host memory, and time each stage."""
        device, context, stream = self._device, self._context, self._context.stream
        with self._at_work():
            began = time.perf_counter_ns()
            device.record(self._events[0], stream)
            context.copy_in(self._sources)
            device.record(self._events[1], stream)
            context.launch()
            device.record(self._events[2], stream)
            context.copy_out()
            device.record(self._events[3], stream)
            enqueued = time.perf_counter_ns()
            device.synchronize(stream)
            done = time.perf_counter_ns()
            pairs = zip(self._events[:-1], self._events[1:], strict=True)
            copy_in, compute, copy_out = (device.elapsed_ns(*pair) for pair in pairs)
        return Stages(
            host_ns=done - began,
            enqueue_ns=enqueued - began,
            copy_in_ns=copy_in,
            compute_ns=compute,
            copy_out_ns=copy_out,
        )

    def outputs(self) -> tuple[NDArray[Any], ...]:
        """Return the answers of the last run, copied to host memory."""
        with self._at_work():
            self._context.copy_out()
            self._device.synchronize(self._context.stream)
            return self._context.fetched()

    def close(self) -> None:
        """Give back the context and the events."""
        if not self.closed:
            self.closed = True
            with self._device.current():
                self._device.synchronize(self._context.stream)
                self._close_events()
                self._context.close()

    def _at_work(self) -> Any:
        if self.closed:
            raise BadInput("The bound run is closed", hint="bind the inputs again")
        return self._device.current()

    def _close_events(self) -> None:
        while self._events:
            self._device.close_event(self._events.pop())
