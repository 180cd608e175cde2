"""Wrap what is timed: any call, the core of a session, a session end to end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import BadInput
from unetrt.runtime import ImagePort
from unetrt.runtime.backends.backend import BoundRun
from unetrt.runtime.devices import Device

from .inputs import TimedInput, refuse_constant
from .telemetry import now_ns

__all__ = [
    "BoundCandidate",
    "CallCandidate",
    "Candidate",
    "HostToHost",
    "Runs",
    "TimedSession",
    "open_host_to_host",
    "session_candidate",
]


@dataclass(frozen=True, slots=True)
class Runs:
    """Hold raw nanoseconds of consecutive runs, in order.

    Attributes:
        host_ns: by the host's clock, from each call to its output.
        stages_ns: other clocks' times of the same runs, by name: "enqueue", "copy_in", "compute",
            "copy_out"; without those that this way to run does not have.

    Example:
        >>> len(Runs((1200, 1100, 1150)).host_ns)
        3
    """

    host_ns: tuple[int, ...]
    stages_ns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Candidate(Protocol):
    """Hold one network, opened, with its input in place."""

    @property
    def name(self) -> str:
        """Name its row in the report."""

    def time_runs(self, count: int) -> Runs:
        """Run so many times, one after another, and time each. The first call is not warmed up."""

    def close(self) -> None:
        """Give back what it holds."""


IN_FLIGHT = 2


def alternated(
    lanes: Sequence[tuple[Callable[[], object], Callable[[], object]]], count: int
) -> tuple[int, ...]:
    """Return the times from completion to completion of `count + 1` runs of (launch, wait) lanes.

    One thread launches in one lane before it waits in the other: for devices that launch and
    return.
    """
    ends: list[int] = []
    lanes[0][0]()
    for k in range(count):
        lanes[(k + 1) % len(lanes)][0]()
        lanes[k % len(lanes)][1]()
        ends.append(now_ns())
    lanes[count % len(lanes)][1]()
    ends.append(now_ns())
    return gaps_of(ends)


def in_threads(
    lanes: Sequence[tuple[Executor, Callable[[], object]]], count: int
) -> tuple[int, ...]:
    """Do what `alternated` does, with runs that return when they are done, in a thread each."""
    tickets = itertools.count()  # next() is one step under the interpreter's lock

    def work(run: Callable[[], object]) -> list[int]:
        ends = []
        while next(tickets) <= count:
            run()
            ends.append(now_ns())
        return ends

    begun = [executor.submit(work, run) for executor, run in lanes]
    return gaps_of([end for future in begun for end in future.result()])


def gaps_of(ends: Sequence[int]) -> tuple[int, ...]:
    """Return the differences of times, the earliest first."""
    ordered = sorted(ends)
    return tuple(later - earlier for earlier, later in pairwise(ordered))


@dataclass(frozen=True, slots=True, eq=False)
class CallCandidate:
    """Time a function of one input, from host memory to host memory.

    Attributes:
        name: of the row.
        call: from the input to the output; it must return when the output is there.
        x: the input, in place; not a constant.
        precision: whose tolerance holds: "fp32", "tf32", "fp16", "bf16", "int8".

    Raises:
        BadInput: the input is a constant.

    Example:
        >>> import numpy as np
        >>> candidate = CallCandidate("sorted", np.sort, np.array([3, 1, 2]))
        >>> candidate.predict(), len(candidate.time_runs(5).host_ns)
        (array([1, 2, 3]), 5)
    """

    name: str
    call: Callable[[NDArray[Any]], NDArray[Any]]
    x: NDArray[Any]
    precision: str = "fp32"

    def __post_init__(self) -> None:
        refuse_constant(self.x)

    def time_runs(self, count: int) -> Runs:
        """Run so many times."""
        call, x, taken = self.call, self.x, []
        for _ in range(count):
            began = now_ns()
            call(x)
            taken.append(now_ns() - began)
        return Runs(tuple(taken))

    def predict(self) -> NDArray[Any]:
        """Return the output."""
        return self.call(self.x)

    def close(self) -> None:
        """Return at once: nothing is held."""


class BindingSession(Protocol):
    """Offer what a bound run needs of `unetrt.runtime.Session`."""

    @property
    def artifact(self) -> OnnxModel | Engine:
        """Return the network's file."""

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> BoundRun:
        """Put inputs where the network computes."""


class TimedSession(BindingSession, Protocol):
    """Offer what both scopes need of `unetrt.runtime.Session`."""

    @property
    def info(self) -> Mapping[str, Any]:
        """Name the library, the device and the type that it computes in."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Map inputs to outputs."""

    def segment(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Map an image to its labels."""


def session_candidate(
    name: str, session: TimedSession, timed_input: TimedInput, *, scope: str, precision: str
) -> CoreCandidate | EndToEndCandidate:
    """Return what times a session in one scope.

    Args:
        name: of the row.
        session: it stays the caller's to close, after the candidate.
        timed_input: the core takes its pixels mirrored out to what the network can halve.
        scope: "core", inputs and outputs where it computes; or "end_to_end", from an image as it
            is stored, in host memory, to its label map in host memory.
        precision: whose tolerance holds: "fp32", "tf32", "fp16", "bf16", "int8".

    Raises:
        BadInput: another scope.
        ShapeError: the network does not take such pixels.

    Example:
        >>> from pathlib import Path
        >>> from unetrt.benchmarks import random_input
        >>> from unetrt.runtime import SessionSpec, open_session
        >>> pixels = random_input(batch=1, height=32, width=32, channels=1)
        >>> with open_session(Path("model.onnx"), SessionSpec(backend="onnxruntime")) as session:
        ...     core = session_candidate("core", session, pixels, scope="core", precision="fp32")
        ...     print(core.predict().shape, len(core.time_runs(3).host_ns))
        ...     core.close()
        (1, 32, 32, 2) 3
    """
    scopes: dict[str, type[CoreCandidate | EndToEndCandidate]] = {
        "core": CoreCandidate,
        "end_to_end": EndToEndCandidate,
    }
    if scope not in scopes:
        raise BadInput("There is no such scope", got=scope, expected=" or ".join(scopes))
    return scopes[scope](name, session, timed_input, precision)


class BoundCandidate:
    """Time a session on inputs that lie where it computes.

    A host sample is launch and wait, "enqueue" the launch of the same run. On a GPU "compute" is
    by the device's events, of a run right after each: events would lengthen the host's sample. On
    a CPU a launch returns when the run is done, and there are no stages.

    Two runs in flight are two bound runs: on a GPU launched alternately by one thread, on a CPU in
    a thread each, where they share the cores.

    Args:
        name: of the row.
        session: it stays the caller's to close, after the candidate.
        inputs: by name.
    """

    def __init__(
        self, name: str, session: BindingSession, inputs: Mapping[str, NDArray[Any]]
    ) -> None:
        self.name = name
        self._session, self._inputs = session, inputs
        self._bound: BoundRun = session.bind(inputs)
        self._lanes: list[tuple[ThreadPoolExecutor, BoundRun]] = []

    def time_runs(self, count: int) -> Runs:
        """Run so many times, each waited for."""
        bound, host, enqueue, compute = self._bound, [], [], []
        for _ in range(count):
            began = now_ns()
            bound.launch()
            launched = now_ns()
            bound.wait()
            host.append(now_ns() - began)
            if (ns := _compute_ns(bound)) is not None:
                enqueue.append(launched - began)
                compute.append(ns)
        stages = {"enqueue": tuple(enqueue), "compute": tuple(compute)} if compute else {}
        return Runs(tuple(host), stages)

    def time_pipelined(self, count: int) -> Runs:
        """Keep two runs in flight."""
        self._open_lanes()
        if self._bound.device is not None:
            return Runs(alternated([(b.launch, b.wait) for _, b in self._lanes], count))
        return Runs(in_threads([(thread, _run_of(b)) for thread, b in self._lanes], count))

    def outputs(self) -> dict[str, NDArray[Any]]:
        """Run once; return the outputs by name."""
        self._bound.launch()
        self._bound.wait()
        names = [tensor.name for tensor in self._session.artifact.outputs]
        return dict(zip(names, self._bound.outputs(), strict=True))

    def close(self) -> None:
        """Give back what was bound."""
        on_device = self._bound.device is not None
        for thread, bound in self._lanes:
            (bound.close if on_device else thread.submit(bound.close).result)()
            thread.shutdown()
        self._lanes = []
        self._bound.close()

    def _open_lanes(self) -> None:
        """Bind twice more; on a CPU each in its own thread, which alone may use it."""
        bind = partial(self._session.bind, self._inputs)
        while len(self._lanes) < IN_FLIGHT:
            thread = ThreadPoolExecutor(1)
            bound = thread.submit(bind).result() if self._bound.device is None else bind()
            self._lanes.append((thread, bound))


def _run_of(bound: BoundRun) -> Callable[[], None]:
    def run() -> None:
        bound.launch()
        bound.wait()

    return run


def _compute_ns(bound: BoundRun) -> int | None:
    """Run once more and return its time on the GPU, by events around it; None without a GPU."""
    device, stream = bound.device, bound.stream
    if device is None:
        return None
    with device.current(), ExitStack() as stack:
        start, end = _events(device, stack, 2)
        device.record(start, stream)
        bound.launch()
        device.record(end, stream)
        device.synchronize(stream)
        return device.elapsed_ns(start, end)


def _events(device: Device, stack: ExitStack, count: int) -> list[int]:
    events = []
    for _ in range(count):
        events.append(device.open_event())
        stack.callback(device.close_event, events[-1])
    return events


class CoreCandidate(BoundCandidate):
    """Time the network alone on an image; see `BoundCandidate`."""

    def __init__(
        self, name: str, session: TimedSession, timed_input: TimedInput, precision: str
    ) -> None:
        self.precision = precision
        self._port = ImagePort(session.artifact, prefer="probabilities")
        artifact = session.artifact
        fitted = timed_input.normalized(artifact.normalization).fitted(artifact.sizes)
        super().__init__(name, session, self._port.feed(fitted.pixels))

    def predict(self) -> NDArray[Any]:
        """Run once; return probabilities [batch, height, width, classes], or labels."""
        return self._port.prediction(self.outputs())


class HostToHost:
    """Time runs from pinned host memory to pinned host memory, stage by stage, by the GPU's events.

    The copies are as large as the session's own and in the same stream. They go from and to memory
    that is allocated here, so that sessions need not show theirs.
    """

    def __init__(self, bound: BoundRun, device: Device, inputs: Iterable[NDArray[Any]]) -> None:
        self._bound, self._device = bound, device
        self._stack = ExitStack()
        with device.current(), ExitStack() as undo:
            undo.callback(bound.close)
            self._copied_in = [self._place(array.nbytes, undo) for array in inputs]
            self._copied_out = [self._place(array.nbytes, undo) for array in bound.outputs()]
            self._events = _events(device, undo, 4)
            self._stack.push(undo.pop_all())

    def time_runs(self, count: int) -> Runs:
        """Run so many times, each waited for."""
        with self._device.current():
            runs = [self._run() for _ in range(count)]
        names = ("enqueue", "copy_in", "compute", "copy_out")
        host, *stages = zip(*runs, strict=True)
        return Runs(host, dict(zip(names, stages, strict=True)))

    def close(self) -> None:
        """Give back the memory, the events and the bound run."""
        with self._device.current():
            self._stack.close()

    def _run(self) -> tuple[int, ...]:
        device, stream = self._device, self._bound.stream
        began = now_ns()
        device.record(self._events[0], stream)
        for address, host in self._copied_in:
            device.copy_in(address, host, stream)
        device.record(self._events[1], stream)
        self._bound.launch()
        device.record(self._events[2], stream)
        for address, host in self._copied_out:
            device.copy_out(host, address, stream)
        device.record(self._events[3], stream)
        enqueued = now_ns()
        device.synchronize(stream)
        done = now_ns()
        stages = (device.elapsed_ns(*pair) for pair in pairwise(self._events))
        return (done - began, enqueued - began, *stages)

    def _place(self, nbytes: int, stack: ExitStack) -> tuple[int, NDArray[np.uint8]]:
        """Return memory on the GPU and pinned memory of the host."""
        address = self._device.allocate(nbytes)
        stack.callback(self._device.free, address)
        host = self._device.allocate_pinned(nbytes)
        stack.callback(self._device.free_pinned, host)
        return address, host


def open_host_to_host(
    session: BindingSession, inputs: Mapping[str, NDArray[Any]]
) -> HostToHost | None:
    """Bind inputs and return what times their runs; None where no GPU computes."""
    bound = session.bind(inputs)
    if bound.device is None:
        bound.close()
        return None
    return HostToHost(bound, bound.device, inputs.values())


class EndToEndCandidate:
    """Time the way from a stored image in host memory to its label map in host memory.

    One image goes through `Session.segment`, a batch through `Session.run` and an argmax; either
    is normalised on the way where the network wants that. Where a
    GPU computes, the stages are of a run from host memory to host memory right after each.
    """

    def __init__(
        self, name: str, session: TimedSession, timed_input: TimedInput, precision: str
    ) -> None:
        self.name, self.precision = name, precision
        self._session, self._pixels = session, timed_input.pixels
        sizes, normalization = session.artifact.sizes, session.artifact.normalization
        fits = all(sizes.covering(side) == side for side in timed_input.shape[1:3])
        self._is_ready = fits and normalization is None
        self._input = timed_input
        self._port = ImagePort(session.artifact, prefer="labels")
        self._threads = [ThreadPoolExecutor(1) for _ in range(IN_FLIGHT)]
        self._stages = open_host_to_host(session, self._port.feed(self._fitted()))

    def time_runs(self, count: int) -> Runs:
        """Segment so many times."""
        host: list[int] = []
        stages: dict[str, list[int]] = {}
        for _ in range(count):
            began = now_ns()
            self._segment()
            host.append(now_ns() - began)
            if self._stages is not None:
                run = self._stages.time_runs(1)
                for stage, (ns,) in run.stages_ns.items():
                    stages.setdefault(stage, []).append(ns)
        return Runs(tuple(host), {stage: tuple(ns) for stage, ns in stages.items()})

    def time_pipelined(self, count: int) -> Runs:
        """Keep two images in flight, in two threads."""
        return Runs(in_threads([(thread, self._segment) for thread in self._threads], count))

    def predict(self) -> NDArray[np.uint8]:
        """Return labels [batch, height, width]."""
        return self._segment()

    def close(self) -> None:
        """Give back the threads and what was bound."""
        for thread in self._threads:
            thread.shutdown()
        if self._stages is not None:
            self._stages.close()

    def _segment(self) -> NDArray[np.uint8]:
        if len(self._pixels) == 1:
            return self._session.segment(self._pixels[0])[np.newaxis]
        labels = self._port.labels(
            self._port.prediction(self._session.run(self._port.feed(self._fitted())))
        )
        return labels[:, : self._pixels.shape[1], : self._pixels.shape[2]]

    def _fitted(self) -> NDArray[Any]:
        if self._is_ready:
            return self._pixels
        artifact = self._session.artifact
        return self._input.normalized(artifact.normalization).fitted(artifact.sizes).pixels
