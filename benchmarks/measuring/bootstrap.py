"""How sure a ratio of two medians is: resampling, and a verdict in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ratio", "Turns", "blocks_of", "own_ratio", "paired_ratio", "unpaired_ratio", "verdict"]

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
