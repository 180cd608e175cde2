"""Any call as a candidate: what cannot be looked into is timed from call to return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .candidate import Turn
from .clock import now_ns
from .inputs import refuse_constant

__all__ = ["CallCandidate"]


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
