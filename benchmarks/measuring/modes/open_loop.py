"""Runs that arrive at a rate of their own, whether the one before is done or not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from unetrt.errors import BadInput

from ..candidate import Candidate, Turn
from ..clock import now_ns, wait_until
from .paced import joined

__all__ = ["OpenLoop"]

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
