"""The next run is launched before the one before is done: depth 2, what trtexec reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from unetrt.errors import BadInput

from ..candidate import Candidate, Turn
from .serialised import busy_rate

__all__ = ["Overlapping", "Pipelined"]


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
