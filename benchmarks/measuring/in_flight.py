"""Two runs in flight, and when each is done."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from .clock import now_ns

__all__ = ["alternated", "gaps_of", "in_threads"]

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
