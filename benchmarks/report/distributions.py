"""Every raw sample of every row, side by side with the rows of the same case."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from .numbers import milliseconds
from .panel import Mark, Panel
from .row import Row
from .scale import Scale
from .strips import LEFT, RIGHT, Strip, strip_panel
from .style import colour

__all__ = ["by_case", "distribution_panels"]

_FOOT, _TALL = 18.0, 15.0
_WIDE_RANGE = 1.6
"""Beyond this ratio of the slowest sample to the fastest the axis is logarithmic."""


def by_case(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Group the rows that differ only in library, precision and rebuild."""
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row)
    return cases


def distribution_panels(rows: Sequence[Row]) -> list[Panel]:
    """Draw a panel a case, as measured first to last. Every sample lies in a bar of one pixel."""
    cases = sorted(by_case(rows).items(), key=lambda case: min(row.place for row in case[1]))
    return [_panel(case, sharing) for case, sharing in cases]


def _panel(case: str, rows: list[Row]) -> Panel:
    every = [ms for row in rows for ms in row.samples_ms]
    log = max(every) > _WIDE_RANGE * min(every)
    scale = Scale.over(every, LEFT, RIGHT, log=log, margin=0.02)
    strips = [
        Strip(row.runner, milliseconds(row.p50_ms), _drawn(row, scale), warned=bool(row.throttled))
        for row in rows
    ]
    told = "; ".join(
        f"{row.runner}: median {milliseconds(row.p50_ms)}, {milliseconds(row.latency_ms['min'])} "
        f"to {milliseconds(row.latency_ms['max'])}, {row.latency_ms['n']} runs"
        for row in rows
    )
    unit = "milliseconds" + (", logarithmic" if log else "")
    return strip_panel(case, f"Latency of {case}. {told}.", strips, scale, unit)


def _drawn(row: Row, scale: Scale) -> list[Mark]:
    bins = Counter(math.floor(scale(ms)) + 0.5 for ms in row.samples_ms)
    most = max(bins.values())
    # By the square root, so that a single slow run among thousands is still seen.
    bars = "".join(
        f"M{x:g} {_FOOT:g}v-{max(3.5, _TALL * math.sqrt(count / most)):.1f}"
        for x, count in sorted(bins.items())
    )
    marks = [
        Mark(f"M{scale.start:g} {_FOOT:g}H{scale.end:g}", "base"),
        Mark(bars, f"bars {colour(row.precision)}", f"{len(row.samples_ms)} runs"),
    ]
    for name, value in row.latency_ms.items():
        if name.startswith("p"):
            reach = 19 if name == "p50" else 8
            tip = f"{name} {milliseconds(value)}"
            style = "median" if name == "p50" else "percentile"
            marks.append(Mark(f"M{scale(value):g} {_FOOT + 3:g}v-{reach}", style, tip))
    return marks
