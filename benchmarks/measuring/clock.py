"""The host's clock."""

from __future__ import annotations

import time

__all__ = ["now_ns", "preemptions", "wait_until"]

now_ns = time.perf_counter_ns
"""Nanoseconds of a clock that only goes forward."""

_SPIN_NS = 200_000


def wait_until(deadline_ns: int) -> None:
    """Return at `deadline_ns`, or at once where it is past.

    It sleeps, and spins at the end: a sleep alone comes back some 60 us late.
    """
    while (left := deadline_ns - now_ns()) > 0:
        if left > _SPIN_NS:
            time.sleep((left - _SPIN_NS) / 1e9)


def preemptions() -> int | None:
    """Return how often this thread had to give up its core so far; None where no one counts."""
    try:
        import resource  # noqa: PLC0415  (not on Windows)

        return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    except (ImportError, AttributeError):  # macOS counts whole processes alone
        return None
