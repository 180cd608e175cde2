"""The roofline: what the machine allows, and where a network's blocks and its runs lie under it.

Williams, Waterman, Patterson 2009, "Roofline: an insightful visual performance model".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .network import Network
from .numbers import compact, figure, milliseconds
from .panel import WIDTH, Axis, Mark, Panel, Words, dot, polyline
from .row import Row
from .scale import Scale
from .style import colour, libraries, marker

__all__ = ["roofline_panels"]

_LEFT, _TOP, _RIGHT, _BOTTOM, _HEIGHT = 52.0, 8.0, WIDTH - 14.0, 232.0, 270
_TYPES = {"float32": "fp32", "tf32": "tf32", "float16": "fp16", "bfloat16": "bf16", "int8": "int8"}


def roofline_panels(
    record: dict[str, Any], networks: Sequence[Network], rows: Sequence[Row]
) -> list[Panel]:
    """Draw a panel for each network of the record; none without ceilings."""
    ceilings = record["ceilings"]
    if ceilings is None:
        return []
    markers = libraries(rows)
    return [_panel(network, ceilings, network.rows(rows), markers) for network in networks]


def _panel(
    network: Network, ceilings: dict[str, Any], rows: list[Row], markers: dict[str, int]
) -> Panel:
    copied = ceilings["bytes_per_s"]
    peaks = {
        kind: peak
        for kind, peak in ceilings["flops_per_s"].items()
        if network.precision in {None, _TYPES.get(kind)}
    } or ceilings["flops_per_s"]
    blocks = [block for block in network.blocks if block.flops and block.attainable_ns]
    reached = [(row, 1e3 * network.flops / row.p50_ms) for row in rows]
    intensities = [block.intensity for block in blocks] + [network.flops / network.bytes]
    ridges = [peak / copied for peak in peaks.values()]
    x = Scale.over([*intensities, *(0.5 * r for r in ridges), *(2 * r for r in ridges)],
                   _LEFT, _RIGHT, log=True)  # fmt: skip
    heights = [1e9 * block.flops / (block.attainable_ns or 1) for block in blocks]
    lowest = [speed for _, speed in reached] + heights
    y = Scale.over([*lowest, *(1.5 * peak for peak in peaks.values())], _BOTTOM, _TOP, log=True)
    panel = Panel(
        title=network.title,
        told=_told(network, ceilings, reached),
        height=_HEIGHT,
        left=_LEFT,
        top=_TOP,
        right=_RIGHT,
        bottom=_BOTTOM,
        x=Axis(x.ticks(), "FLOP a byte"),
        y=Axis([(at, compact(value, "")) for at, value in _speeds(y)], "FLOP/s"),
    )
    for kind, peak in peaks.items():
        style = colour(_TYPES.get(kind, kind))
        panel.marks.append(Mark(_roof(x, y, peak, copied), f"line {style}", kind))
        panel.words.append(
            Words(_RIGHT - 2, y(peak) - 8, f"{kind} {compact(peak, 'FLOP/s')}", "end", style)
        )
    for block, speed in zip(blocks, heights, strict=True):
        allowed = compact(speed, "FLOP/s")
        tip = f"{block.name}: {figure(block.intensity)} FLOP a byte, attainable {allowed}"
        panel.marks.append(Mark(dot(x(block.intensity), y(speed), radius=3), "hollow", tip))
    for row, speed in reached:
        at = (x(network.flops / network.bytes), y(speed))
        median = milliseconds(row.p50_ms)
        tip = f"{row.runner}, the whole network: {compact(speed, 'FLOP/s')}, {median}"
        panel.marks.append(Mark(dot(*at, markers[row.backend], 5), marker(row), tip))
    return panel


def _speeds(y: Scale) -> list[tuple[float, float]]:
    """Return the ticks with their values, which have no room in full."""
    return [(at, float(label.replace(",", ""))) for at, label in y.ticks()]


def _roof(x: Scale, y: Scale, peak: float, copied: float) -> str:
    corner = peak / copied
    # Where the slope leaves the frame below.
    start = max(x.low, y.low / copied)
    return polyline([(x(start), y(start * copied)), (x(corner), y(peak)), (x(x.high), y(peak))])


def _told(network: Network, ceilings: dict[str, Any], reached: list[tuple[Row, float]]) -> str:
    peaks = ", ".join(
        f"{kind} {compact(peak, 'FLOP/s')}" for kind, peak in ceilings["flops_per_s"].items()
    )
    points = "; ".join(f"{row.runner} reaches {compact(speed, 'FLOP/s')}" for row, speed in reached)
    return (
        f"Roofline of {network.title}: ceilings {peaks} and "
        f"{compact(ceilings['bytes_per_s'], 'B/s')}; the whole network has "
        f"{figure(network.flops / network.bytes)} FLOP a byte. {points or 'No run was timed'}."
    )
