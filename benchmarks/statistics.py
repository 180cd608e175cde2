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
from .telemetry import Window, rounds_of

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
    """Hold raw nanoseconds of one candidate, in order, nothing clipped.

    Attributes:
        name: of the candidate.
        host_ns: by the host's clock; the mode says from when to when.
        stages_ns: other clocks' times: "enqueue", "compute", "copy_in", "copy_out", "service".
        warmup_ns: before that, kept apart.
        windows: the rounds, `n` samples each.
        runs_per_s: that were finished, by the mode's own reckoning.
        agreement: with the reference's prediction; None where there was none.
        warnings: sentences that say why the figures should not be trusted.

    Example:
        >>> Samples(name="x", host_ns=(1_000_000, 3_000_000)).rounds_ns
        ((1000000, 3000000),)
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
    def rounds_ns(self) -> tuple[tuple[int, ...], ...]:
        """Return the host's samples, round by round."""
        return rounds_of(self.host_ns, self.windows)


Rounds = Sequence[Sequence[int]]
"""Nanoseconds of one candidate, round by round."""

RESAMPLES = 2000
_CONFIDENCE = 0.95
_WIDEST = 0.995
"""Confidence beyond which an interval's ends are one or two of the resamples."""
_MOST_BLOCKS = 10
_FEWEST_BLOCKS = 5
_MOST_DRAWN = 1 << 22
"""Samples that are drawn at once: 32 MB."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Hold the median of b over the median of a, and its 95 % bootstrap interval.

    The interval is 0 to infinity where a single sample, round or block tells nothing of the spread.

    Example:
        >>> twice = Ratio(2.0, 1.9, 2.1)
        >>> twice.noise
        2.1
    """

    ratio: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """Return how far from 1 the interval extends, either way, as a factor of at least 1."""
        return max(1.0, self.high, 1 / self.low if self.low > 0 else math.inf)

    def joined(self, other: Ratio) -> Ratio:
        """Return this ratio with the interval that holds both."""
        return Ratio(self.ratio, min(self.low, other.low), max(self.high, other.high))


def verdict(ratio: Ratio, null: Ratio | None = None) -> str:
    """Return "faster", "slower" or "cannot be told apart", of b compared with a.

    The interval must clear 1, and that of the A/A test, in either direction: a build or a minute
    that was slower by chance could as well have been the other one's.

    Args:
        ratio: of b over a.
        null: of a second copy of a over a.

    Example:
        >>> verdict(Ratio(1.1, 1.08, 1.12), Ratio(1.0, 0.97, 1.03))
        'slower'
        >>> verdict(Ratio(1.1, 1.08, 1.12), Ratio(1.0, 0.9, 1.2))
        'cannot be told apart'
    """
    noise = 1.0 if null is None else null.noise
    if ratio.low > noise:
        return "slower"
    if ratio.high < 1 / noise:
        return "faster"
    return "cannot be told apart"


def paired_ratio(
    a: Sequence[Rounds], b: Sequence[Rounds], *, seed: int = 0, resamples: int = RESAMPLES
) -> Ratio:
    """Compare candidates that were timed in the same rounds.

    Rounds are drawn whole; of several rebuilds first the rebuilds, then rounds within each. Samples
    are never drawn one by one: those of a round share the machine's state of that moment, those of
    a rebuild its kernels, and as so many independent samples they would make the interval far too
    narrow. Both sides of a round are drawn together, so that what slows both cancels.

    Args:
        a: nanoseconds by rebuild and round; every rebuild has as many rounds.
        b: likewise, in the same rebuilds and rounds.
        seed: of what is drawn.
        resamples: how often.

    Returns:
        The ratio; without an interval where there is one round of one rebuild.

    Example:
        >>> found = paired_ratio([[[100, 102], [200, 202], [300, 302]]],
        ...                      [[[110, 112], [220, 222], [330, 332]]])
        >>> verdict(found)
        'slower'
    """
    one, other = _padded(a), _padded(b)
    rebuilds, rounds = one.shape[:2]
    within = np.random.default_rng(seed)

    def log_ratio(drawn: NDArray[Any], axis: int) -> Any:  # noqa: ARG001  (the last)
        place: tuple[Any, ...] = (0, drawn)
        if rebuilds > 1:
            place = (drawn[..., None], within.integers(rounds, size=(*drawn.shape, rounds)))
        return np.log(_medians(other[place]) / _medians(one[place]))

    units = rebuilds if rebuilds > 1 else rounds
    return _interval(one, other, [units], log_ratio, seed, resamples)


def unpaired_ratio(a: Rounds, b: Rounds, *, seed: int = 0, resamples: int = RESAMPLES) -> Ratio:
    """Compare two runs at two times, each cut into a few blocks that are drawn whole.

    Args:
        a: nanoseconds by round.
        b: likewise.
        seed: of what is drawn.
        resamples: how often.

    Returns:
        The ratio; without an interval where one of both is a single sample.
    """
    one, other = (_padded([blocks_of(rounds)])[0] for rounds in (a, b))

    def log_ratio(
        drawn: NDArray[Any],
        drawn_other: NDArray[Any],
        axis: int,  # noqa: ARG001  (the last)
    ) -> Any:
        return np.log(_medians(other[drawn_other]) / _medians(one[drawn]))

    return _interval(one, other, [len(one), len(other)], log_ratio, seed, resamples)


def own_ratio(rounds: Rounds, *, seed: int = 0, resamples: int = RESAMPLES) -> Ratio:
    """Compare every second round of a run with those between: an A/A test without a second copy.

    They are drawn apart, as two runs' are: in pairs a drift would cancel, and between runs it does
    not.
    """
    cut = rounds if len(rounds) >= _FEWEST_BLOCKS else blocks_of(rounds)
    odd, even = cut[1::2], cut[::2]
    if not odd:
        return Ratio(1.0, 0.0, math.inf)
    return unpaired_ratio(even, odd, seed=seed, resamples=resamples)


def blocks_of(rounds: Rounds) -> list[Sequence[int]]:
    """Return at most ten blocks of neighbouring rounds; of samples, where there are few rounds.

    Few and long ones, since a machine drifts over many rounds.
    """
    if len(rounds) >= _FEWEST_BLOCKS:
        parts = np.array_split(np.arange(len(rounds)), min(_MOST_BLOCKS, len(rounds)))
        return [[ns for k in part for ns in rounds[k]] for part in parts]
    flat = [ns for one in rounds for ns in one]
    return [p.tolist() for p in np.array_split(np.asarray(flat), min(_MOST_BLOCKS, len(flat)))]


def _interval(
    one: NDArray[Any],
    other: NDArray[Any],
    units: list[int],
    log_ratio: Callable[..., Any],
    seed: int,
    resamples: int,
) -> Ratio:
    """Return the percentile interval, at a confidence that makes up for few `units` to draw from.

    Of n units a bootstrap's spread comes out sqrt((n - 1) / n) of what it should be, and has the
    normal distribution's tails where it should have Student's (Hesterberg, What Teachers Should
    Know About the Bootstrap, The American Statistician 69, 2015: the expanded percentile interval).
    """
    ratio = float(_medians(other[None])[0] / _medians(one[None])[0])
    n = min(units)
    if n <= 1:
        return Ratio(ratio, 0.0, math.inf)
    from scipy import stats  # noqa: PLC0415  (a second that opening a session need not wait)

    tail = stats.norm.cdf(stats.t.ppf((1 - _CONFIDENCE) / 2, n - 1) * math.sqrt(n / (n - 1)))
    found = stats.bootstrap(
        [np.arange(count) for count in units],
        log_ratio,
        n_resamples=resamples,
        batch=max(1, _MOST_DRAWN // max(one.size, other.size)),
        vectorized=True,
        confidence_level=min(1 - 2 * tail, _WIDEST),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Ratio(ratio, min(math.exp(found.low), ratio), max(math.exp(found.high), ratio))


def _medians(drawn: NDArray[Any]) -> NDArray[Any]:
    """Return the median of each draw, at least a nanosecond: a coarse clock may not have ticked."""
    flat = drawn.reshape(len(drawn), -1)
    median = np.nanmedian if np.isnan(flat).any() else np.median
    found: NDArray[Any] = np.maximum(1.0, median(flat, axis=-1))
    return found


def _padded(rebuilds: Sequence[Rounds]) -> NDArray[np.float64]:
    """Return [rebuild, round, sample], NaN where a round has fewer samples than another."""
    longest = max(len(one) for rounds in rebuilds for one in rounds)
    fewest = min(len(rounds) for rounds in rebuilds)
    found = np.full((len(rebuilds), fewest, longest), np.nan)
    for k, rounds in enumerate(rebuilds):
        for j, one in enumerate(rounds[:fewest]):
            found[k, j, : len(one)] = one
    return found


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
"""Those that are told besides the median, where there are samples enough."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Hold a summary in milliseconds.

    A percentile is None where there are too few samples for it; the median is always there.
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
    """Summarise the timed runs by the host's clock; the warm-up does not count.

    Example:
        >>> latency = summarize(Samples(name="x", host_ns=(1_000_000, 2_000_000, 6_000_000)))
        >>> latency.p50_ms, latency.p90_ms, latency.max_ms
        (2.0, None, 6.0)
    """
    ms = np.asarray(samples.host_ns) / 1e6
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
