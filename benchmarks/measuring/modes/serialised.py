"""One run at a time, the next as soon as the one before is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..candidate import Candidate, Turn

__all__ = ["Serialised", "busy_rate"]


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
