"""Time calls, side by side: raw nanoseconds, warm-up kept apart, nothing clipped."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from unetrt.errors import BadInput

__all__ = ["Plan", "Samples", "measure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often each candidate is called.

    Attributes:
        samples: timed calls of each; 100 carry a 90th percentile, see stats.py.
        warmup: calls of each before that.
        run_length: consecutive calls of one candidate before another has its turn.
        seed: of the order of the turns.
    """

    samples: int = 100
    warmup: int = 5
    run_length: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.samples, self.run_length) < 1 or self.warmup < 0:
            raise BadInput(
                "Cannot measure by this plan",
                got=str(self),
                expected="at least one sample and one call a turn",
            )


@dataclass(frozen=True, slots=True)
class Samples:
    """Host-to-host nanoseconds of each timed call of one candidate, in order, and its warm-up's."""

    name: str
    latency_ns: tuple[int, ...]
    warmup_ns: tuple[int, ...]


def measure(
    candidates: Mapping[str, Callable[[], object]],
    plan: Plan | None = None,
    on_run: Callable[[str], None] = lambda _line: None,
) -> dict[str, Samples]:
    """Time each candidate's call `plan.samples` times, in short turns of random order.

    Turns spread a machine's slow minutes over all candidates. Each turn begins with one untimed
    call, since the one before filled the caches with another network.
    """
    plan = plan or Plan()
    warmup = {
        name: tuple(_timed(call) for _ in range(plan.warmup)) for name, call in candidates.items()
    }
    latency: dict[str, list[int]] = {name: [] for name in candidates}
    order = random.Random(plan.seed)  # noqa: S311  (an order, not a secret)
    while pending := [name for name in candidates if len(latency[name]) < plan.samples]:
        order.shuffle(pending)
        for name in pending:
            call, taken = candidates[name], latency[name]
            call()
            for _ in range(min(plan.run_length, plan.samples - len(taken))):
                taken.append(_timed(call))
            on_run(f"{name}: {len(taken)}/{plan.samples} runs")
    return {name: Samples(name, tuple(latency[name]), warmup[name]) for name in candidates}


def _timed(call: Callable[[], object]) -> int:
    began = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - began
