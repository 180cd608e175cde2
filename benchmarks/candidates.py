"""Wrap what is timed: any call, the core of a session, a session end to end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import BadInput
from unetrt.runtime import ImagePort
from unetrt.runtime.backends.backend import BoundRun

from .inputs import TimedInput, refuse_constant
from .telemetry import now_ns

__all__ = ["CallCandidate", "Candidate", "TimedSession", "Turn", "session_candidate"]


@dataclass(frozen=True, slots=True)
class Turn:
    """Raw nanoseconds of consecutive runs, in order.

    Attributes:
        host_ns: by the host's clock, from each call to its answer.
        stages_ns: other clocks' times of the same runs, by name: "enqueue", "copy_in", "compute",
            "copy_out"; without those that this way to run does not have.
    """

    host_ns: tuple[int, ...]
    stages_ns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Candidate(Protocol):
    """One network, opened, with its input in place; candidates of one run take turns."""

    @property
    def name(self) -> str:
        """Of the row in the report."""

    def turn(self, count: int) -> Turn:
        """Run so many times, one after another, and time each. The first call is not warmed up."""

    def close(self) -> None:
        """Give back what it holds."""


DEPTH = 2


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
    """As `alternated`, of runs that return when they are done: each lane in its own thread."""
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
    return tuple(later - earlier for earlier, later in itertools.pairwise(ordered))


@dataclass(frozen=True, slots=True, eq=False)
class CallCandidate:
    """A function of one input, host to host.

    Attributes:
        name: of the row.
        call: from the input to the answer; it must return when the answer is there.
        x: the input, in place; not a constant.
        precision: what the answer is held to.
    """

    name: str
    call: Callable[[NDArray[Any]], NDArray[Any]]
    x: NDArray[Any]
    precision: str = "fp32"

    def __post_init__(self) -> None:
        refuse_constant(self.x)

    def turn(self, count: int) -> Turn:
        """Run so many times."""
        call, x, taken = self.call, self.x, []
        for _ in range(count):
            began = now_ns()
            call(x)
            taken.append(now_ns() - began)
        return Turn(tuple(taken))

    def answer(self) -> NDArray[Any]:
        """Return the answer."""
        return self.call(self.x)

    def close(self) -> None:
        """Nothing is held."""


class TimedSession(Protocol):
    """What is used of `unetrt.runtime.Session`."""

    @property
    def artifact(self) -> OnnxModel | Engine:
        """The network's file."""

    @property
    def info(self) -> Mapping[str, Any]:
        """What runs it, where, in what."""

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> BoundRun:
        """Put inputs where the network computes."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Map inputs to outputs."""

    def segment(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map an image to its labels."""


def session_candidate(
    name: str, session: TimedSession, timed_input: TimedInput, *, scope: str, precision: str
) -> CoreCandidate | EndToEndCandidate:
    """Return a session as a candidate of scope "core" or "end_to_end".

    The core takes the pixels mirrored out to what the network can halve. The session stays the
    caller's to close, after the candidate.

    Raises:
        BadInput: another scope.
        ShapeError: the network does not take such pixels.
    """
    scopes: dict[str, type[CoreCandidate | EndToEndCandidate]] = {
        "core": CoreCandidate,
        "end_to_end": EndToEndCandidate,
    }
    if scope not in scopes:
        raise BadInput("There is no such scope", got=scope, expected=" or ".join(scopes))
    return scopes[scope](name, session, timed_input, precision)


class CoreCandidate:
    """The network alone, its inputs and outputs where it computes.

    A host sample is launch and wait, "enqueue" the launch of the same run. On a GPU "compute" is
    by the device's events, of a run right after each: events would lengthen the host's sample. On
    a CPU a launch returns when the run is done, and there are no stages.

    Two runs in flight are two bound runs: on a GPU launched in turn by one thread, on a CPU in a
    thread each, where they share the cores.
    """

    def __init__(
        self, name: str, session: TimedSession, timed_input: TimedInput, precision: str
    ) -> None:
        self.name, self.precision = name, precision
        self._session = session
        self._port = ImagePort(session.artifact, prefer="probabilities")
        self._fed = self._port.feed(timed_input.fitted(session.artifact.sizes).pixels)
        self._bound: BoundRun = session.bind(self._fed)
        self.on_device = self._bound.compute_ns() is not None
        self._lanes: list[tuple[ThreadPoolExecutor, BoundRun]] = []

    def turn(self, count: int) -> Turn:
        """Run so many times, each waited for."""
        bound, host, enqueue, compute = self._bound, [], [], []
        for _ in range(count):
            began = now_ns()
            bound.launch()
            launched = now_ns()
            bound.wait()
            host.append(now_ns() - began)
            if self.on_device:
                enqueue.append(launched - began)
                compute.append(bound.compute_ns() or 0)
        stages = {"enqueue": tuple(enqueue), "compute": tuple(compute)} if self.on_device else {}
        return Turn(tuple(host), stages)

    def pipelined_turn(self, count: int) -> Turn:
        """Keep two runs in flight."""
        self._open_lanes()
        if self.on_device:
            return Turn(alternated([(b.launch, b.wait) for _, b in self._lanes], count))
        return Turn(in_threads([(thread, _run_of(b)) for thread, b in self._lanes], count))

    def answer(self) -> NDArray[Any]:
        """Run once; return probabilities [batch, height, width, classes], or labels."""
        self._bound.launch()
        self._bound.wait()
        names = [tensor.name for tensor in self._session.artifact.outputs]
        return self._port.answer(dict(zip(names, self._bound.outputs(), strict=True)))

    def close(self) -> None:
        """Give back what was bound."""
        for thread, bound in self._lanes:
            (bound.close if self.on_device else thread.submit(bound.close).result)()
            thread.shutdown()
        self._lanes = []
        self._bound.close()

    def _open_lanes(self) -> None:
        """Bind twice more; on a CPU each in its own thread, which alone may use it."""
        while len(self._lanes) < DEPTH:
            thread = ThreadPoolExecutor(1)
            bind = self._session.bind
            bound = bind(self._fed) if self.on_device else thread.submit(bind, self._fed).result()
            self._lanes.append((thread, bound))


class EndToEndCandidate:
    """From a uint8 image in host memory to its label map in host memory.

    One image goes through `Session.segment`, a batch through `Session.run` and an argmax. Where a
    GPU computes, the stages are of a run from host memory to host memory right after each.
    """

    def __init__(
        self, name: str, session: TimedSession, timed_input: TimedInput, precision: str
    ) -> None:
        self.name, self.precision = name, precision
        self._session, self._pixels = session, timed_input.pixels
        sizes = session.artifact.sizes
        self._fits = all(sizes.covering(side) == side for side in timed_input.shape[1:3])
        self._input = timed_input
        self._port = ImagePort(session.artifact, prefer="labels")
        self._threads = [ThreadPoolExecutor(1) for _ in range(DEPTH)]
        bound = session.bind(self._port.feed(self._fitted()))
        self._staged: BoundRun | None = bound if bound.compute_ns() is not None else None
        if self._staged is None:
            bound.close()

    def turn(self, count: int) -> Turn:
        """Segment so many times."""
        host: list[int] = []
        stages: dict[str, list[int]] = {}
        for _ in range(count):
            began = now_ns()
            self._segment()
            host.append(now_ns() - began)
            if self._staged is not None:
                run = self._staged.stages()
                for stage in ("enqueue", "copy_in", "compute", "copy_out"):
                    if (ns := getattr(run, f"{stage}_ns")) is not None:
                        stages.setdefault(stage, []).append(ns)
        return Turn(tuple(host), {stage: tuple(ns) for stage, ns in stages.items()})

    def pipelined_turn(self, count: int) -> Turn:
        """Keep two images in flight, in two threads."""
        return Turn(in_threads([(thread, self._segment) for thread in self._threads], count))

    def answer(self) -> NDArray[np.uint8]:
        """Return labels [batch, height, width]."""
        return self._segment()

    def close(self) -> None:
        """Give back the threads and what was bound."""
        for thread in self._threads:
            thread.shutdown()
        if self._staged is not None:
            self._staged.close()

    def _segment(self) -> NDArray[np.uint8]:
        if len(self._pixels) == 1:
            return self._session.segment(self._pixels[0])[np.newaxis]
        labels = self._port.labels(
            self._port.answer(self._session.run(self._port.feed(self._fitted())))
        )
        return labels[:, : self._pixels.shape[1], : self._pixels.shape[2]]

    def _fitted(self) -> NDArray[np.uint8]:
        sizes = self._session.artifact.sizes
        return self._pixels if self._fits else self._input.fitted(sizes).pixels


def _run_of(bound: BoundRun) -> Callable[[], None]:
    def run() -> None:
        bound.launch()
        bound.wait()

    return run
