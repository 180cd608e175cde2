"""From values to pixels, and where an axis has its ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from .numbers import rounded

__all__ = ["Scale"]

_LADDERS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `low`..`high` to `start`..`end` pixels, evenly or by the logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(
        cls, values: Iterable[float], start: float, end: float, *, log: bool, margin: float = 0.05
    ) -> Self:
        """Make one that holds every value, with a margin at both ends; nothing is clipped."""
        held = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        low, high = (min(held), max(held)) if held else (1.0, 1.0)
        if low == high:
            low, high = (low / 1.25, high * 1.25) if log else (low - 0.5, high + 0.5)
        if log:
            spare = (high / low) ** margin
            return cls(low / spare, high * spare, start, end, log=True)
        spare = (high - low) * margin
        return cls(low - spare, high + spare, start, end)

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def ticks(self) -> list[tuple[float, str]]:
        """Return round values inside the axis: pixel and label."""
        values = self._round_log() if self.log else []
        if len(values) < 2:  # noqa: PLR2004  (an axis of one tick says nothing)
            values = self._round_even()
        return [(self(value), rounded(value)) for value in values]

    def _round_log(self) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        best: list[float] = []
        for ladder in _LADDERS:
            values = [step * 10.0**decade for decade in decades for step in ladder]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) <= _MOST_TICKS:
                best = max(best, inside, key=len)
        if not best:  # very many decades
            inside = [10.0**decade for decade in decades if self.low <= 10.0**decade <= self.high]
            best = inside[:: max(1, math.ceil(len(inside) / _MOST_TICKS))]
        return best

    def _round_even(self) -> list[float]:
        width = self.high - self.low
        unit = 10.0 ** math.floor(math.log10(width / 4))
        step = next(unit * s for s in _STEPS if width / (unit * s) <= _MOST_TICKS - 1)
        first = math.ceil(self.low / step)
        return [step * k for k in range(first, math.floor(self.high / step) + 1)]
