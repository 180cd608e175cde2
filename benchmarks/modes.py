"""Time runs that follow each other in different ways: serialised, paced, pipelined, open loop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, Protocol

from unetrt.errors import BadInput

from .candidates import Candidate, Runs
from .telemetry import now_ns, wait_until

__all__ = ["Mode", "OpenLoop", "Paced", "Pipelined", "Serialised", "joined"]


class Mode(Protocol):
    """Decide how runs follow each other.

    Attributes:
        name: as in a record: "serialised", "pipelined", "paced", "open_loop".
        in_one_round: whether all samples of a candidate must be taken in one round.
    """

    name: str
    in_one_round: bool

    @property
    def rate_per_s(self) -> float | None:
        """Return the rate of arrivals, where there are any."""

    def time_runs(self, candidate: Candidate, count: int) -> Runs:
        """Time so many runs.

        Raises:
            BadInput: the candidate cannot be run in this mode.
        """

    def runs_per_s(self, rounds: Sequence[Runs]) -> float:
        """Return how many runs were finished a second."""

    def warnings(self, rounds: Sequence[Runs]) -> list[str]:
        """Return why these figures should not be trusted, in sentences."""


class _Busy:
    """Share what modes without arrivals have in common: a second that is full of runs."""

    rate_per_s = None
    in_one_round = False

    def runs_per_s(self, rounds: Sequence[Runs]) -> float:
        """Return runs over the sum of their times."""
        taken = [ns for runs in rounds for ns in runs.host_ns]
        return 1e9 * len(taken) / max(1, sum(taken))

    def warnings(self, rounds: Sequence[Runs]) -> list[str]:  # noqa: ARG002  (none to be had)
        """Return nothing: such a mode brings no doubt of its own."""
        return []


@dataclass(frozen=True, slots=True)
class Serialised(_Busy):
    """Let each run wait for the one before, as one caller does.

    Example:
        >>> Serialised().name
        'serialised'
    """

    name = "serialised"

    def time_runs(self, candidate: Candidate, count: int) -> Runs:
        """Let the candidate time itself."""
        return candidate.time_runs(count)


@dataclass(frozen=True, slots=True)
class Paced(_Busy):
    """Idle for `gap_ms` before each run: clocks fall and caches cool, as they do in use.

    Attributes:
        gap_ms: milliseconds; in no sample.

    Raises:
        BadInput: no gap.

    Example:
        >>> Paced(gap_ms=5.0)
        Paced(gap_ms=5.0)
    """

    gap_ms: float = 20.0
    name = "paced"

    def __post_init__(self) -> None:
        if not self.gap_ms > 0:
            raise BadInput("Cannot pace runs", got=f"gap_ms {self.gap_ms:g}", expected="a gap")

    def time_runs(self, candidate: Candidate, count: int) -> Runs:
        """Wait, then run once, so many times; the gap is in no sample."""
        runs = []
        for _ in range(count):
            wait_until(now_ns() + round(self.gap_ms * 1e6))
            runs.append(candidate.time_runs(1))
        return joined(runs)


def joined(parts: Sequence[Runs]) -> Runs:
    """Return runs of one candidate that were timed in several parts as one."""
    names = parts[0].stages_ns if parts else {}
    return Runs(
        tuple(ns for runs in parts for ns in runs.host_ns),
        {name: tuple(ns for runs in parts for ns in runs.stages_ns[name]) for name in names},
    )


class Overlapping(Candidate, Protocol):
    """Have two runs in flight."""

    def time_pipelined(self, count: int) -> Runs:
        """Keep two runs in flight; host_ns is from each completion to the next."""


@dataclass(frozen=True, slots=True)
class Pipelined(_Busy):
    """Keep two runs in flight: throughput, not what a caller waits.

    A sample is the time from one completion to the next.

    Example:
        >>> Pipelined().name
        'pipelined'
    """

    name = "pipelined"

    def time_runs(self, candidate: Candidate, count: int) -> Runs:
        """Let the candidate keep two runs in flight."""
        if not hasattr(candidate, "time_pipelined"):
            raise BadInput(
                f"{candidate.name} cannot have two runs in flight",
                hint="time it serialised, or its core",
            )
        overlapping: Overlapping = candidate  # type: ignore[assignment]
        return overlapping.time_pipelined(count)


_BUSY = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """Let runs arrive at a rate, and queue before the one server there is.

    A sample is counted from the *intended* arrival: a harness that waits for a slow run before it
    sends the next one leaves out the time that the next one would have waited ("coordinated
    omission"). "service" is the run alone.

    Attributes:
        rate_per_s: of arrivals, on average.
        arrivals: "constant" gaps, or "poisson": exponential ones.
        seed: of the Poisson gaps.

    Raises:
        BadInput: a rate that is not positive, or other arrivals.

    Example:
        >>> OpenLoop(rate_per_s=100).schedule_ns(3)
        (0, 10000000, 20000000)
    """

    rate_per_s: float
    arrivals: Literal["constant", "poisson"] = "constant"
    seed: int = 0
    name = "open_loop"
    in_one_round = True  # a queue that begins empty in each round would not grow

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s < float("inf") or self.arrivals not in ("constant", "poisson"):
            raise BadInput(
                "Cannot let runs arrive",
                got=f"rate_per_s {self.rate_per_s:g}, arrivals {self.arrivals!r}",
                expected="a positive rate, arrivals 'constant' or 'poisson'",
            )

    def schedule_ns(self, count: int) -> tuple[int, ...]:
        """Return when each of `count` runs arrives, in nanoseconds from the first."""
        draw = random.Random(self.seed)  # noqa: S311  (a load, not a secret)
        gap = 1e9 / self.rate_per_s
        gaps = (
            gap if self.arrivals == "constant" else draw.expovariate(1 / gap)
            for _ in range(count - 1)
        )
        return tuple(map(round, accumulate(gaps, initial=0.0)))[:count]

    def time_runs(self, candidate: Candidate, count: int) -> Runs:
        """Run once for each arrival, in order."""
        arrivals = self.schedule_ns(count)
        latency, runs = [], []
        began = now_ns() + 1_000_000
        for after in arrivals:
            wait_until(began + after)
            runs.append(candidate.time_runs(1))
            latency.append(now_ns() - began - after)
        served = joined(runs)
        return Runs(tuple(latency), {**served.stages_ns, "service": served.host_ns})

    def runs_per_s(self, rounds: Sequence[Runs]) -> float:
        """Return the runs that were finished in a second, from the first arrival to the last end.

        That is at most the rate of arrivals, and less where the queue grows.
        """
        finished, spent = 0, 0
        for runs in rounds:
            count = len(runs.host_ns)
            finished += count
            spent += self.schedule_ns(count)[-1] + runs.host_ns[-1]
        return 1e9 * finished / max(1, spent)

    def warnings(self, rounds: Sequence[Runs]) -> list[str]:
        """Tell of runs that arrive faster than they can be served: latency then grows for ever."""
        service = [ns for runs in rounds for ns in runs.stages_ns["service"]]
        load = self.rate_per_s * sum(service) / len(service) / 1e9
        if load < _BUSY:
            return []
        warning = (
            f"{self.rate_per_s:g} arrivals/s are {100 * load:.0f} % of what it can serve "
            f"({self.rate_per_s / load:.3g}/s): the queue grows as long as one measures, and "
            "with it the latency"
        )
        return [warning]
