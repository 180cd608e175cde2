"""Time runs that follow each other in different ways: serialised, paced, pipelined, open loop."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, Protocol

from unetrt.errors import BadInput

from .candidates import Candidate, Turn
from .telemetry import now_ns, wait_until

__all__ = ["Mode", "OpenLoop", "Paced", "Pipelined", "Serialised"]


class Mode(Protocol):
    """How runs follow each other."""

    @property
    def name(self) -> str:
        """As in a record: "serialised", "pipelined", "paced", "open_loop"."""

    @property
    def rate_per_s(self) -> float | None:
        """Of arrivals, where there are any."""

    @property
    def in_one_turn(self) -> bool:
        """Whether all samples of a candidate must be taken in one turn."""

    def take(self, candidate: Candidate, count: int) -> Turn:
        """Time so many runs.

        Raises:
            BadInput: the candidate cannot be run in this mode.
        """

    def runs_per_s(self, turns: Sequence[Turn]) -> float:
        """Return how many runs were finished a second."""

    def doubts(self, turns: Sequence[Turn]) -> list[str]:
        """Return why these figures should not be trusted, in sentences."""


@dataclass(frozen=True, slots=True)
class Serialised:
    """What one caller sees who waits for each answer."""

    name = "serialised"
    rate_per_s = None
    in_one_turn = False

    def take(self, candidate: Candidate, count: int) -> Turn:
        """Let the candidate time itself."""
        return candidate.turn(count)

    def runs_per_s(self, turns: Sequence[Turn]) -> float:
        """Return the runs of a second that is full of them."""
        return busy_rate(turns)

    def doubts(self, turns: Sequence[Turn]) -> list[str]:  # noqa: ARG002  (the mode adds none)
        """Return nothing: this is the mode of the fewest ifs."""
        return []


def busy_rate(turns: Sequence[Turn]) -> float:
    """Return runs over the sum of their times."""
    taken = [ns for turn in turns for ns in turn.host_ns]
    return 1e9 * len(taken) / max(1, sum(taken))


@dataclass(frozen=True, slots=True)
class Paced:
    """Idle for `gap_ms` before each run: clocks fall and caches cool, as they do in use."""

    gap_ms: float = 20.0
    name = "paced"
    rate_per_s = None
    in_one_turn = False

    def __post_init__(self) -> None:
        if not self.gap_ms > 0:
            raise BadInput("Cannot pace runs", got=f"gap_ms {self.gap_ms:g}", expected="a gap")

    def take(self, candidate: Candidate, count: int) -> Turn:
        """Wait, then run once, so many times; the gap is in no sample."""
        turns = []
        for _ in range(count):
            wait_until(now_ns() + round(self.gap_ms * 1e6))
            turns.append(candidate.turn(1))
        return joined(turns)

    def runs_per_s(self, turns: Sequence[Turn]) -> float:
        """Return the runs of a second without gaps."""
        return busy_rate(turns)

    def doubts(self, turns: Sequence[Turn]) -> list[str]:  # noqa: ARG002
        """Return nothing."""
        return []


def joined(turns: Sequence[Turn]) -> Turn:
    """Return several turns of one candidate as one."""
    names = turns[0].stages_ns if turns else {}
    return Turn(
        tuple(ns for turn in turns for ns in turn.host_ns),
        {name: tuple(ns for turn in turns for ns in turn.stages_ns[name]) for name in names},
    )


class Overlapping(Candidate, Protocol):
    """A candidate that can have two runs in flight."""

    def pipelined_turn(self, count: int) -> Turn:
        """Keep two runs in flight; host_ns is from each completion to the next."""


@dataclass(frozen=True, slots=True)
class Pipelined:
    """A sample is the time from one completion to the next: throughput, not what a caller waits."""

    name = "pipelined"
    rate_per_s = None
    in_one_turn = False

    def take(self, candidate: Candidate, count: int) -> Turn:
        """Let the candidate keep two runs in flight."""
        if not hasattr(candidate, "pipelined_turn"):
            raise BadInput(
                f"{candidate.name} cannot have two runs in flight",
                hint="time it serialised, or its core",
            )
        overlapping: Overlapping = candidate  # type: ignore[assignment]
        return overlapping.pipelined_turn(count)

    def runs_per_s(self, turns: Sequence[Turn]) -> float:
        """Return the runs that were finished in a second."""
        return busy_rate(turns)

    def doubts(self, turns: Sequence[Turn]) -> list[str]:  # noqa: ARG002
        """Return nothing."""
        return []


_BUSY = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """One server behind a queue.

    A sample is counted from the *intended* arrival: a harness that waits for a slow run before it
    sends the next one leaves out the time that the next one would have waited ("coordinated
    omission"). "service" is the run alone.

    Attributes:
        rate_per_s: of arrivals, on average.
        arrivals: "constant" gaps, or "poisson": exponential ones.
        seed: of the Poisson gaps.
    """

    rate_per_s: float
    arrivals: Literal["constant", "poisson"] = "constant"
    seed: int = 0
    name = "open_loop"
    in_one_turn = True  # a queue that begins empty in each turn would not grow

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s < float("inf") or self.arrivals not in ("constant", "poisson"):
            raise BadInput(
                "Cannot let runs arrive",
                got=f"rate_per_s {self.rate_per_s:g}, arrivals {self.arrivals!r}",
                expected="a positive rate, arrivals 'constant' or 'poisson'",
            )

    def schedule_ns(self, count: int) -> tuple[int, ...]:
        """Return when each of `count` runs arrives, from 0."""
        draw = random.Random(self.seed)  # noqa: S311  (a load, not a secret)
        gap = 1e9 / self.rate_per_s
        gaps = (
            gap if self.arrivals == "constant" else draw.expovariate(1 / gap)
            for _ in range(count - 1)
        )
        return tuple(map(round, accumulate(gaps, initial=0.0)))[:count]

    def take(self, candidate: Candidate, count: int) -> Turn:
        """Run once for each arrival, in order."""
        arrivals = self.schedule_ns(count)
        latency, runs = [], []
        began = now_ns() + 1_000_000
        for after in arrivals:
            wait_until(began + after)
            runs.append(candidate.turn(1))
            latency.append(now_ns() - began - after)
        served = joined(runs)
        return Turn(tuple(latency), {**served.stages_ns, "service": served.host_ns})

    def runs_per_s(self, turns: Sequence[Turn]) -> float:
        """Return the runs that were finished in a second, from the first arrival to the last end.

        That is at most the rate of arrivals, and less where the queue grows.
        """
        finished, spent = 0, 0
        for turn in turns:
            count = len(turn.host_ns)
            finished += count
            spent += self.schedule_ns(count)[-1] + turn.host_ns[-1]
        return 1e9 * finished / max(1, spent)

    def doubts(self, turns: Sequence[Turn]) -> list[str]:
        """Say where runs arrive faster than they can be served: latency then grows for ever."""
        service = [ns for turn in turns for ns in turn.stages_ns["service"]]
        load = self.rate_per_s * sum(service) / len(service) / 1e9
        if load < _BUSY:
            return []
        doubt = (
            f"{self.rate_per_s:g} arrivals/s are {100 * load:.0f} % of what it can serve "
            f"({self.rate_per_s / load:.3g}/s): the queue grows as long as one measures, and "
            "with it the latency"
        )
        return [doubt]
