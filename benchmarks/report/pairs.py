"""Two rows held against each other, and what may be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .numbers import MISSING, ratio
from .panel import Mark, Panel, dot
from .row import Row
from .scale import Scale
from .strips import LEFT, RIGHT, Strip, strip_panel
from .style import colour

__all__ = ["Pair", "pair_panels", "pairs_of", "precision_pairs"]

_TURNED = {"faster": "slower", "slower": "faster"}
_MIDDLE = 10.0


@dataclass(frozen=True, slots=True)
class Pair:
    """`b` against `a`.

    Attributes:
        ratio: of medians, b / a.
        low, high: its 95 % bootstrap interval; None where one sample or turn tells of none.
        null_low, null_high: what a row against itself gave in the A/A run; None without one.
        rebuilds: how many builds of each it stands on.
        verdict: what b is: "faster", "slower" or "cannot be told apart".
    """

    a: Row
    b: Row
    ratio: float
    low: float | None
    high: float | None
    null_low: float | None
    null_high: float | None
    rebuilds: int
    verdict: str

    @property
    def interval(self) -> str:
        """The interval of the ratio."""
        return _between(self.low, self.high)

    @property
    def null(self) -> str:
        """The interval of the A/A run."""
        return _between(self.null_low, self.null_high)

    def turned(self) -> Pair:
        """Return `a` against `b`."""
        return Pair(
            a=self.b,
            b=self.a,
            ratio=1 / self.ratio,
            low=_inverse(self.high),
            high=_inverse(self.low),
            null_low=_inverse(self.null_high),
            null_high=_inverse(self.null_low),
            rebuilds=self.rebuilds,
            verdict=_TURNED.get(self.verdict, self.verdict),
        )


def pairs_of(record: dict[str, Any], rows: Sequence[Row]) -> list[Pair]:
    """Read the record's comparisons of rows that it has."""
    by_id = {row.id: row for row in rows}
    pairs = []
    for found in record["comparisons"]:
        if found["a"] in by_id and found["b"] in by_id:
            rest = {name: found[name] for name in Pair.__dataclass_fields__ if name not in "ab"}
            for low, high in (("low", "high"), ("null_low", "null_high")):
                if rest[high] is None:  # without bounds
                    rest[low] = None
            pairs.append(Pair(by_id[found["a"]], by_id[found["b"]], **rest))
    return pairs


def precision_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that differ in precision alone, FP32 (or TF32) as the first of both."""
    found = []
    for pair in pairs:
        a, b = pair.a, pair.b
        if (a.case, a.backend, a.rebuild) != (b.case, b.backend, b.rebuild):
            continue
        if a.precision == b.precision:
            continue
        if b.precision == "fp32" or (b.precision == "tf32" and a.precision != "fp32"):
            found.append(pair.turned())
        elif a.precision in {"fp32", "tf32"}:
            found.append(pair)
    return found


def pair_panels(pairs: Sequence[Pair]) -> list[Panel]:
    """Draw ratio and interval of each pair; a panel for each library, network and scope."""
    groups: dict[str, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda pair: (pair.a.height, pair.a.width, pair.a.batch)):
        row = pair.a
        versus = f"{pair.b.precision} against {row.precision}"
        title = f"{row.backend}, {versus}: {row.network}, {row.how}"
        groups.setdefault(title, []).append(pair)
    return [_panel(title, group) for title, group in groups.items()]


def _panel(title: str, pairs: list[Pair]) -> Panel:
    held = [
        value
        for pair in pairs
        for value in (pair.ratio, pair.low, pair.high, pair.null_low, pair.null_high)
        if value is not None
    ]
    scale = Scale.over([*held, 1.0], LEFT, RIGHT, log=True)
    strips = [
        Strip(
            pair.a.shape,
            f"{pair.verdict}, {ratio(pair.ratio)}",
            _drawn(pair, scale),
            warned=bool(pair.a.throttled or pair.b.throttled),
        )
        for pair in pairs
    ]
    told = "; ".join(f"{strip.name}: {_told(pair)}, {pair.verdict}"
                     for strip, pair in zip(strips, pairs, strict=True))  # fmt: skip
    unit = "ratio of medians: below 1 takes less time"
    return strip_panel(title, f"{title}. {told}.", strips, scale, unit, at=1.0)


def _drawn(pair: Pair, scale: Scale) -> list[Mark]:
    style = colour(pair.b.precision)
    null = []
    if pair.null_low is not None and pair.null_high is not None:
        low, high = scale(pair.null_low), scale(pair.null_high)
        null.append(Mark(f"M{low:g} 1H{high:g}V19H{low:g}z", "null", f"A/A run {pair.null}"))
    line = []
    if pair.low is not None and pair.high is not None:
        low, high = scale(pair.low), scale(pair.high)
        line.append(Mark(f"M{low:g} {_MIDDLE:g}H{high:g}", f"line thick {style}"))
    at = dot(scale(pair.ratio), _MIDDLE, radius=4.5)
    return [*null, *line, Mark(at, f"mark {style}", _told(pair))]


def _told(pair: Pair) -> str:
    return f"{ratio(pair.ratio)} ({pair.interval})"


def _between(low: float | None, high: float | None) -> str:
    return MISSING if low is None or high is None else f"{ratio(low)} to {ratio(high)}"


def _inverse(value: float | None) -> float | None:
    return None if value is None else 1 / value
