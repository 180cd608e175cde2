"""What is timed: one way to run one network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Candidate", "Turn"]


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
