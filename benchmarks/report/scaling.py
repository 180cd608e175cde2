"""Latency against batch, and against size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .numbers import milliseconds, sizes
from .panel import WIDTH, Axis, Mark, Panel, dot, polyline
from .row import Row
from .scale import Scale
from .style import colour, libraries, marker

__all__ = ["batch_panels", "size_panels"]

_LEFT, _TOP, _RIGHT, _BOTTOM, _HEIGHT = 46.0, 8.0, WIDTH - 14.0, 210.0, 248


def batch_panels(rows: Sequence[Row]) -> list[Panel]:
    """Draw median latency against batch, a panel for each network, size, scope and mode."""
    return _panels(
        rows,
        "batch",
        lambda row: row.batch,
        lambda row: f"{row.network}, {sizes(row.height, row.width)}, {row.how}",
    )


def size_panels(rows: Sequence[Row]) -> list[Panel]:
    """Draw median latency against size, a panel for each network, batch, scope and mode."""
    return _panels(
        rows,
        "side in pixels, root of the area",
        lambda row: math.sqrt(row.height * row.width),
        lambda row: f"{row.network}, batch {row.batch}, {row.how}",
    )


def _panels(
    rows: Sequence[Row], title: str, at: Callable[[Row], float], group: Callable[[Row], str]
) -> list[Panel]:
    markers = libraries(rows)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.fields["rate_per_s"] is None:
            groups.setdefault(group(row), []).append(row)
    return [
        _panel(name, title, at, found, markers)
        for name, found in groups.items()
        if len({at(row) for row in found}) > 1
    ]


def _panel(
    name: str, title: str, at: Callable[[Row], float], rows: list[Row], markers: dict[str, int]
) -> Panel:
    places = sorted({at(row) for row in rows})
    x = Scale.over(places, _LEFT, _RIGHT, log=True)
    y = Scale.over([row.p50_ms for row in rows], _BOTTOM, _TOP, log=True)
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(row.runner, []).append(row)
    panel = Panel(
        title=name,
        told=f"Median latency against {title}, {name}. "
        + "; ".join(map(_told(at), lines.values())),
        height=_HEIGHT,
        left=_LEFT,
        top=_TOP,
        right=_RIGHT,
        bottom=_BOTTOM,
        x=Axis([(x(place), f"{place:.0f}") for place in places], title),
        y=Axis(y.ticks(), "ms, median"),
    )
    for runner, line in lines.items():
        line.sort(key=at)
        points = [(x(at(row)), y(row.p50_ms)) for row in line]
        panel.marks.append(Mark(polyline(points), f"line {colour(line[0].precision)}", runner))
        for row, (left, top) in zip(line, points, strict=True):
            tip = f"{runner}: {milliseconds(row.p50_ms)}"
            panel.marks.append(Mark(dot(left, top, markers[row.backend]), marker(row), tip))
    return panel


def _told(at: Callable[[Row], float]) -> Callable[[list[Row]], str]:
    def told(line: list[Row]) -> str:
        medians = (f"{at(row):.0f}: {milliseconds(row.p50_ms)}" for row in line)
        return f"{line[0].runner}: {', '.join(medians)}"

    return told
