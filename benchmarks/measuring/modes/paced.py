"""One run at a time with an idle gap before each, as a camera or a user makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unetrt.errors import BadInput

from ..candidate import Candidate, Turn
from ..clock import now_ns, wait_until
from .serialised import busy_rate

__all__ = ["Paced"]


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
