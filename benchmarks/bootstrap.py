"""How sure a ratio of two medians is: resampling, and a verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ratio", "Turns", "blocks_of", "paired_ratio", "unpaired_ratio", "verdict"]

Turns = Sequence[Sequence[int]]
"""Nanoseconds, turn by turn."""

RESAMPLES = 2000
_TAILS = (2.5, 97.5)
_MOST_BLOCKS = 10
_FEWEST_BLOCKS = 5


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median of b over median of a, and its 95 % bootstrap interval."""

    ratio: float
    low: float
    high: float


def verdict(ratio: Ratio, null: Ratio | None = None) -> str:
    """Return "faster", "slower" or "cannot be told apart", of b beside a.

    The interval must clear 1, and the whole interval that a has against itself: what two builds of
    one network differ by is no difference.
    """
    low, high = (1.0, 1.0) if null is None else (min(1.0, null.low), max(1.0, null.high))
    if ratio.low > high:
        return "slower"
    if ratio.high < low:
        return "faster"
    return "cannot be told apart"


def paired_ratio(
    a: Sequence[Turns], b: Sequence[Turns], *, seed: int = 0, resamples: int = RESAMPLES
) -> Ratio:
    """Compare turns that were taken in alternation: `a[rebuild][round]` beside `b[rebuild][round]`.

    Rebuilds are drawn first, then rounds within each. Samples are never drawn one by one: those of
    a turn share the machine's state of that moment, those of a rebuild its kernels, and as so many
    independent samples they would make the interval far too narrow. Both sides of a round are
    drawn together, so that what slows both cancels.
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

    return _interval(_joined(flat_a), _joined(flat_b), draw, resamples)


def unpaired_ratio(a: Turns, b: Turns, *, seed: int = 0, resamples: int = RESAMPLES) -> Ratio:
    """Compare turns of two runs at two times, each cut into a few blocks that are drawn whole."""
    random = np.random.default_rng(seed)
    blocks = _arrays([blocks_of(a), blocks_of(b)])

    def draw() -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        one, other = (
            [side[k] for k in random.integers(len(side), size=len(side))] for side in blocks
        )
        return one, other

    return _interval(blocks[0], blocks[1], draw, resamples)


def blocks_of(turns: Turns) -> list[Sequence[int]]:
    """Return at most ten blocks of neighbouring turns; of samples, where there are few turns.

    Few and long ones, since a machine drifts over many turns.
    """
    if len(turns) >= _FEWEST_BLOCKS:
        parts = np.array_split(np.arange(len(turns)), min(_MOST_BLOCKS, len(turns)))
        return [[ns for k in part for ns in turns[k]] for part in parts]
    flat = [ns for turn in turns for ns in turn]
    return [p.tolist() for p in np.array_split(np.asarray(flat), min(_MOST_BLOCKS, len(flat)))]


def _interval(a: list[NDArray[Any]], b: list[NDArray[Any]], draw: Any, resamples: int) -> Ratio:
    ratios = [_ratio(*draw()) for _ in range(resamples)]
    low, high = np.percentile(ratios, _TAILS)
    return Ratio(_ratio(a, b), float(low), float(high))


def _ratio(a: list[NDArray[Any]], b: list[NDArray[Any]]) -> float:
    return float(np.median(np.concatenate(b)) / np.median(np.concatenate(a)))


def _arrays(rebuilds: Sequence[Turns]) -> list[list[NDArray[Any]]]:
    return [[np.asarray(turn, np.float64) for turn in turns] for turns in rebuilds]


def _joined(rebuilds: list[list[NDArray[Any]]]) -> list[NDArray[Any]]:
    return [turn for turns in rebuilds for turn in turns]
