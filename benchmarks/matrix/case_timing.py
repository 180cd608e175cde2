"""Let the cells of a scope take turns; from their samples, rows and comparisons of the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..measuring.agreement import Answering
from ..measuring.bootstrap import paired_ratio, verdict
from ..measuring.measure import take_turns
from ..measuring.plan import Plan
from ..measuring.samples import Samples
from ..measuring.stats import summarize
from ..record import Comparison
from .case import Opened, row_of
from .matrix import NO_TIME, Found

__all__ = ["CaseTimer", "samples_within"]

_FEWEST = 20
"""Samples of a row: fewer tell no median."""
_ASIDE = 1.25
"""Runs for each that is timed: warm-up, and one before each turn."""


class CaseTimer:
    """Times the scopes of a case one after another, `scopes` of them in about `seconds`."""

    def __init__(
        self,
        *,
        samples: int,
        seconds: float,
        scopes: int,
        on_run: Callable[[str], None] = lambda _line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._samples, self._seconds, self._scopes = samples, seconds, scopes
        self._on_run, self._clock = on_run, clock

    def __call__(self, sharing: Mapping[str, Opened]) -> Found:
        """Let all take turns, those that were opened twice beside themselves."""
        arms: dict[str, Answering] = {name: one.candidate for name, one in sharing.items()}
        arms |= {_again(name): one.again for name, one in sharing.items() if one.again is not None}
        share = self._seconds / self._scopes
        began = self._clock()
        count = samples_within(share, arms.values(), self._samples)
        self._scopes -= 1
        if not count:
            return Found(failures=[{"id": name, "reason": NO_TIME} for name in sharing])
        taken = take_turns(arms, Plan(samples=count), on_run=self._on_run)
        self._seconds -= self._clock() - began
        rows = [row_of(one, measured(taken[name], one.cell.batch)) for name, one in sharing.items()]
        return Found(rows=rows, comparisons=list(_comparisons(sharing, taken)))


def samples_within(seconds: float, candidates: Sequence[Answering] | Any, most: int) -> int:
    """Return how many runs of each fit, at most `most`; 0 where even the fewest do not.

    Each runs twice for that, and the second counts: the first may load or compile.
    """
    round_s = 0.0
    for candidate in candidates:
        candidate.turn(1)
        round_s += sum(candidate.turn(1).host_ns) / 1e9
    fit = int(seconds / (_ASIDE * max(round_s, 1e-9)))
    return 0 if fit < min(_FEWEST, most) else min(most, fit)


def measured(samples: Samples, batch: int) -> dict[str, Any]:
    """Return what a row holds of its samples."""
    return {
        "samples_ns": {
            "host": list(samples.host_ns),
            **{name: list(ns) for name, ns in samples.stages_ns.items()},
        },
        "warmup_ns": list(samples.warmup_ns),
        "windows": [asdict(w) | {"throttle": list(w.throttle)} for w in samples.windows],
        "latency_ms": summarize(samples).to_json(),
        "images_per_s": batch * samples.runs_per_s,
        "warnings": list(samples.warnings),
    }


def _comparisons(
    sharing: Mapping[str, Opened], taken: Mapping[str, Samples]
) -> Iterator[dict[str, Any]]:
    """Compare, on each library, every precision with the first; and with it each other library."""
    first: dict[str, str] = {}
    for name, one in sharing.items():
        first.setdefault(one.cell.backend, name)
    names = list(sharing)
    pairs = [(first[sharing[name].cell.backend], name) for name in names]
    pairs += [(names[0], name) for name in first.values()]
    for a, b in pairs:
        if a != b:
            yield _compared(a, b, taken)


def _compared(a: str, b: str, taken: Mapping[str, Samples]) -> dict[str, Any]:
    again = taken.get(_again(a))
    null = None if again is None else paired_ratio([taken[a].turns_ns], [again.turns_ns])
    ratio = paired_ratio([taken[a].turns_ns], [taken[b].turns_ns])
    return Comparison(
        a=a,
        b=b,
        ratio=ratio.ratio,
        low=ratio.low,
        high=ratio.high,
        null_low=None if null is None else null.low,
        null_high=None if null is None else null.high,
        rebuilds=1,
        verdict=verdict(ratio, null),
    ).to_json()


def _again(name: str) -> str:
    return f"{name} again"
