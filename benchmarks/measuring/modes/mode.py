"""What every mode does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..candidate import Candidate, Turn

__all__ = ["Mode"]


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
