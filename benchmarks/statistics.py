"""Compute percentiles that the samples can carry, and confidence intervals of ratios."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import BadInput

from .agreement import Agreement
from .telemetry import Window

__all__ = [
    "Latency",
    "Ratio",
    "Samples",
    "blocks_of",
    "fewest_samples",
    "own_ratio",
    "paired_ratio",
    "summarize",
    "unpaired_ratio",
    "verdict",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Raw nanoseconds of one candidate, in order, nothing clipped.

    Attributes:
        name: of the candidate.
        host_ns: by the host's clock; the mode says from when to when.
        stages_ns: other clocks' times: "enqueue", "compute", "copy_in", "copy_out", "service".
        warmup_ns: before that, kept apart.
        windows: the turns, `n` samples each.
        runs_per_s: that were finished, by the mode's own reckoning.
        agreement: with the reference answer; None where there was none.
        warnings: sentences that say why the figures should not be trusted.
    """

    name: str
    host_ns: tuple[int, ...]
    stages_ns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    warmup_ns: tuple[int, ...] = ()
    windows: tuple[Window, ...] = ()
    runs_per_s: float = 0.0
    agreement: Agreement | None = None
    warnings: tuple[str, ...] = ()

    @property
    def turns_ns(self) -> tuple[tuple[int, ...], ...]:
        """The host's samples, turn by turn."""
        turns, start = [], 0
        for window in self.windows:
            turns.append(self.host_ns[start : start + window.n])
            start += window.n
        return tuple(turns) if start == len(self.host_ns) and turns else (self.host_ns,)


Turns = Sequence[Sequence[int]]
"""Nanoseconds, turn by turn."""

RESAMPLES = 1000
_TAILS = (2.5, 97.5)
_MOST_BLOCKS = 10
_FEWEST_BLOCKS = 5


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of b over median of a, and its 95 % bootstrap interval.

    The interval is 0 to infinity where a single sample, turn or block tells nothing of the spread.
    """

    ratio: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """How far from 1 the interval reaches, either way, as a factor of at least 1."""
        return max(1.0, self.high, 1 / self.low if self.low > 0 else math.inf)

    def joined(self, other: Ratio) -> Ratio:
        """Return this ratio with the interval that holds both."""
        return Ratio(self.ratio, min(self.low, other.low), max(self.high, other.high))


def verdict(ratio: Ratio, null: Ratio | None = None) -> str:
    """Return "faster", "slower" or "cannot be told apart", of b beside a.

    The interval must clear 1, and what a came to against itself, in either direction: a build or a
    minute that was slower by chance could as well have been the other one's.
    """
    noise = 1.0 if null is None else null.noise
    if ratio.low > noise:
        return "slower"
    if ratio.high < 1 / noise:
        return "faster"
    return "cannot be told apart"


def paired_ratio(
    a: Sequence[Turns], b: Sequence[Turns], *, seed: int = 0, resamples: int = RESAMPLES
) -> Ratio:
    """Compare turns that were taken in alternation: `a[rebuild][round]` beside `b[rebuild][round]`.

    Rebuilds are drawn first, then rounds within each. Samples are never drawn one by one: those of
    a turn share the machine's state of that moment, those of a rebuild its kernels, and as so many
    independent samples they would make the interval far too narrow. Both sides of a round are
    drawn together, so that what slows both cancels. One round of one rebuild has no interval.
    """
    random = np.random.default_rng(seed)
    flat_a, flat_b = _arrays(a), _arrays(b)

    def draw() -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        drawn_a, drawn_b = [], []
        for rebuild in random.integers(len(flat_a), size=len(flat_a)):
            rounds = min(len(flat_a[rebuild]), len(flat_b[rebuild]))
            for k in random.integers(rounds, size=rounds):
                drawn_a.append(flat_a[rebuild][k])
                drawn_b.append(flat_b[rebuild][k])
        return drawn_a, drawn_b

    units = len(flat_a) if len(flat_a) > 1 else min(len(flat_a[0]), len(flat_b[0]))
    return _interval(_joined(flat_a), _joined(flat_b), draw, units, resamples)


def unpaired_ratio(a: Turns, b: Turns, *, seed: int = 0, resamples: int = RESAMPLES) -> Ratio:
    """Compare turns of two runs at two times, each cut into a few blocks that are drawn whole."""
    random = np.random.default_rng(seed)
    blocks = _arrays([blocks_of(a), blocks_of(b)])

    def draw() -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        one, other = (
            [side[k] for k in random.integers(len(side), size=len(side))] for side in blocks
        )
        return one, other

    return _interval(blocks[0], blocks[1], draw, min(map(len, blocks)), resamples)


def own_ratio(turns: Turns, *, seed: int = 0, resamples: int = RESAMPLES) -> Ratio:
    """Compare every second turn with those between: what there is where there is no difference.

    They are drawn apart, as two runs' are: in pairs a drift would cancel, and between runs it does
    not.
    """
    cut = turns if len(turns) >= _FEWEST_BLOCKS else blocks_of(turns)
    odd, even = cut[1::2], cut[::2]
    if not odd:
        return Ratio(1.0, 0.0, math.inf)
    return unpaired_ratio(even, odd, seed=seed, resamples=resamples)


def blocks_of(turns: Turns) -> list[Sequence[int]]:
    """Return at most ten blocks of neighbouring turns; of samples, where there are few turns.

    Few and long ones, since a machine drifts over many turns.
    """
    if len(turns) >= _FEWEST_BLOCKS:
        parts = np.array_split(np.arange(len(turns)), min(_MOST_BLOCKS, len(turns)))
        return [[ns for k in part for ns in turns[k]] for part in parts]
    flat = [ns for turn in turns for ns in turn]
    return [p.tolist() for p in np.array_split(np.asarray(flat), min(_MOST_BLOCKS, len(flat)))]


def _interval(
    a: list[NDArray[Any]],
    b: list[NDArray[Any]],
    draw: Callable[[], tuple[list[NDArray[Any]], list[NDArray[Any]]]],
    units: int,
    resamples: int,
) -> Ratio:
    """Return the percentile interval, widened for how few `units` are drawn from.

    Of n units a bootstrap's spread comes out sqrt((n - 1) / n) of what it should be (Hesterberg,
    What Teachers Should Know About the Bootstrap, The American Statistician 69, 2015); of one, 0.
    """
    ratio = _ratio(a, b)
    if units <= 1:
        return Ratio(ratio, 0.0, math.inf)
    logs = np.log([_ratio(*draw()) for _ in range(resamples)])
    wider = math.sqrt(units / (units - 1))
    offsets = wider * (np.percentile(logs, _TAILS) - math.log(ratio))
    low, high = (ratio * math.exp(offset) for offset in offsets)
    return Ratio(ratio, min(low, ratio), max(high, ratio))


def _ratio(a: list[NDArray[Any]], b: list[NDArray[Any]]) -> float:
    return _median(b) / _median(a)


def _median(turns: list[NDArray[Any]]) -> float:
    """Return at least a nanosecond: a coarse clock may not have ticked."""
    return max(1.0, float(np.median(np.concatenate(turns))))


def _arrays(rebuilds: Sequence[Turns]) -> list[list[NDArray[Any]]]:
    return [[np.asarray(turn, np.float64) for turn in turns] for turns in rebuilds]


def _joined(rebuilds: list[list[NDArray[Any]]]) -> list[NDArray[Any]]:
    return [turn for turns in rebuilds for turn in turns]


CONFIDENCE = 0.99


@cache
def fewest_samples(percentile: float) -> int:
    """Return how many samples bound a percentile from above by one that was measured.

    MLPerf loadgen's early stopping (mlcommons/inference, loadgen/early_stopping.cc and
    results.cc): with n samples the second largest is an upper bound of the percentile p at 99 %
    confidence once "at most one of n lies above p" has a chance of under 1 %, which is
    q^n + n q^(n-1) (1 - q) with q = p / 100. p90 64, p95 130, p99 662, p99.9 6,636.

    Raises:
        BadInput: not a percentile between 0 and 100.
    """
    if not 0 < percentile < 100:  # noqa: PLR2004
        raise BadInput(
            "There is no such percentile", got=f"{percentile:g}", expected="between 0 and 100"
        )
    q = percentile / 100

    def carried(n: int) -> bool:
        return q**n + n * q ** (n - 1) * (1 - q) < 1 - CONFIDENCE

    too_few, enough = 1, 2
    while not carried(enough):
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if carried(middle) else (middle, enough)
    return enough


PERCENTILES = (90.0, 99.0, 99.9)
"""Given where there are samples enough, besides the median."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Figures in milliseconds; a percentile is None where there are too few samples for it.

    The median is always there, of however few samples.
    """

    n: int
    p50_ms: float
    p90_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    mean_ms: float
    min_ms: float
    max_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return p50, p90, ... in milliseconds, and n; what is not carried is left out."""
        figures = {
            "p50": self.p50_ms,
            "p90": self.p90_ms,
            "p99": self.p99_ms,
            "p99.9": self.p999_ms,
            "mean": self.mean_ms,
            "min": self.min_ms,
            "max": self.max_ms,
        }
        return {name: ms for name, ms in figures.items() if ms is not None} | {"n": self.n}


def summarize(samples: Samples) -> Latency:
    """Summarise the timed runs by the host's clock; the warm-up does not count."""
    return summarize_ns(samples.host_ns)


def summarize_ns(latency_ns: Sequence[int]) -> Latency:
    """Summarise nanoseconds."""
    ms = np.asarray(latency_ns) / 1e6
    p90, p99, p999 = (
        float(np.percentile(ms, p)) if ms.size >= fewest_samples(p) else None for p in PERCENTILES
    )
    return Latency(
        n=int(ms.size),
        p50_ms=float(np.median(ms)),
        p90_ms=p90,
        p99_ms=p99,
        p999_ms=p999,
        mean_ms=float(ms.mean()),
        min_ms=float(ms.min()),
        max_ms=float(ms.max()),
    )
