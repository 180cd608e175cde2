"""Draw the report's charts by matplotlib, as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unetrt.precision import Precision
from unetrt.report import colours, set_tip, to_svg

from ..record import PRECISIONS, Record, Row
from .axes import Strip, places, plane_axes, round_ticks, span_of, strip_axes
from .numbers import compact, figure, milliseconds, ratio, share, sizes
from .views import Block, Network, Pair, case_of, cases_of, ordered, scope_of

__all__ = [
    "MARKERS",
    "Chart",
    "attained_charts",
    "batch_charts",
    "comparison_charts",
    "distribution_charts",
    "markers_of",
    "roofline_charts",
    "share_charts",
    "size_charts",
]

MARKERS = {"o": "●", "s": "■", "D": "◆", "^": "▲", "v": "▼", "P": "✚", "*": "★", "X": "✖",
           "<": "◀", ">": "▶"}  # fmt: skip
"""Matplotlib's names of markers, and the letters that look like them, for a key in words."""

_BINS = 170
"""Of two pixels each."""
_WIDE_RANGE = 1.6
"""Beyond this ratio of the slowest sample to the fastest the axis is logarithmic."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Hold one drawing.

    Attributes:
        title: stands above it.
        svg: an `<svg>` element with its description.
    """

    title: str
    svg: str


def markers_of(rows: Iterable[Row]) -> dict[str, str]:
    """Give each library a marker, ours before peers, in the order of their names."""
    found = sorted({(row.peer, row.backend) for row in rows})
    return {backend: [*MARKERS][k % len(MARKERS)] for k, (_, backend) in enumerate(found)}


def distribution_charts(rows: Sequence[Row]) -> list[Chart]:
    """Draw a histogram of every row's samples, a chart a case, as measured first to last."""
    return [
        _distribution(case, sharing, f"distribution-{k}")
        for k, (case, sharing) in enumerate(cases_of(rows).items())
    ]


def _distribution(case: str, rows: list[Row], name: str) -> Chart:
    every = np.concatenate([row.host_ns for row in rows]) / 1e6
    log = bool(every.max() > _WIDE_RANGE * every.min() > 0)
    low, high = span_of(every.tolist(), log=log, margin=0.02)
    edges = np.geomspace(low, high, _BINS + 1) if log else np.linspace(low, high, _BINS + 1)
    unit = "milliseconds" + (", logarithmic" if log else "")
    strips = [
        Strip(row.label, milliseconds(row.median_ms), bool(row.throttled_windows)) for row in rows
    ]
    with strip_axes(strips, unit, (low, high), log=log) as (drawing, axes):
        for base, row in zip(places(rows, 36), rows, strict=True):
            counts, _ = np.histogram(np.asarray(row.host_ns) / 1e6, edges)
            # By the square root, so that one slow sample among thousands is still seen.
            heights = np.maximum(3.5, 15 * np.sqrt(counts / counts.max()))
            tops = np.where(counts > 0, base - heights, np.nan)
            axes.axhline(base, color=colours()["line"], linewidth=1)
            bars = axes.stairs(tops, edges, baseline=base, fill=True, color=_colour(row.precision))
            set_tip(bars, f"{row.label}: {len(row.host_ns)} samples")
            for percentile, ms in row.latency_ms.items():
                if percentile.startswith("p"):
                    height, wide = (16, 1.6) if percentile == "p50" else (5, 1.2)
                    tick = axes.vlines(
                        ms, base - height, base + 3, color=colours()["ink"], linewidth=wide
                    )
                    set_tip(tick, f"{percentile} {milliseconds(ms)}")
        told = "; ".join(
            f"{row.label}: median {milliseconds(row.median_ms)}, "
            f"{milliseconds(row.latency_ms['min'])} to {milliseconds(row.latency_ms['max'])}, "
            f"{len(row.host_ns)} samples"
            for row in rows
        )
        svg = to_svg(drawing, name=name, description=f"Latency of {case}. {told}.")
    return Chart(case, svg)


def comparison_charts(pairs: Sequence[Pair]) -> list[Chart]:
    """Draw ratio, interval and A/A test of each pair, a chart for each case of its second row."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(case_of(pair.b), []).append(pair)
    return [
        _comparisons(case, group, f"comparison-{k}")
        for k, (case, group) in enumerate(groups.items())
    ]


def _comparisons(case: str, pairs: list[Pair], name: str) -> Chart:
    ends = [end for pair in pairs for known in (pair.interval, pair.null) if known for end in known]
    span = span_of([1.0, *ends, *(pair.comparison.ratio for pair in pairs)], log=True)
    strips = [
        Strip(
            _pair_label(pair),
            ratio(pair.comparison.ratio),
            bool(pair.a.throttled_windows or pair.b.throttled_windows),
        )
        for pair in pairs
    ]
    unit = "ratio of medians: below 1 takes less time"
    with strip_axes(strips, unit, span, log=True) as (drawing, axes):
        axes.axvline(1, color=colours()["soft"], linewidth=1, linestyle=(0, (3, 3)))
        for middle, pair in zip(places(pairs, 28), pairs, strict=True):
            told = f"{_pair_label(pair)}: {_ratio_told(pair)}"
            if pair.null is not None:
                low, high = pair.null
                band = axes.barh(
                    middle, high - low, 18, low, color=colours()["soft"], alpha=0.28, linewidth=0
                )
                set_tip(band[0], f"A/A test {ratio(low)} to {ratio(high)}")
            colour = _colour(pair.b.precision)
            if pair.interval is not None:
                axes.plot(pair.interval, (middle, middle), color=colour, linewidth=3)
            sure = pair.comparison.verdict in {"faster", "slower"}
            (dot,) = axes.plot(
                pair.comparison.ratio, middle, "o", markersize=9, clip_on=False, color=colour,
                markerfacecolor=colour if sure else colours()["card"], markeredgewidth=1.6,
            )  # fmt: skip
            set_tip(dot, told)
        told = "; ".join(f"{_pair_label(pair)}: {_ratio_told(pair)}" for pair in pairs)
        svg = to_svg(drawing, name=name, description=f"Ratios of medians, {case}. {told}.")
    return Chart(case, svg)


def _pair_label(pair: Pair) -> str:
    a, b = pair.a, pair.b
    if pair.same_case and (a.backend, a.rebuild) == (b.backend, b.rebuild):
        return f"{b.label} vs {a.label.removeprefix(a.backend).strip()}"
    return f"{b.label} vs {a.label}"


def _ratio_told(pair: Pair) -> str:
    known = pair.interval
    between = "" if known is None else f" ({ratio(known[0])} to {ratio(known[1])})"
    return f"{ratio(pair.comparison.ratio)}{between}, {pair.comparison.verdict}"


def batch_charts(rows: Sequence[Row]) -> list[Chart]:
    """Draw median latency against batch, a chart for each network, size, scope and mode."""
    return _scaling(
        ("batch", "batch"),
        rows,
        lambda row: row.batch,
        lambda row: f"{row.network}, {sizes(row.height, row.width)}, {scope_of(row)}",
    )


def size_charts(rows: Sequence[Row]) -> list[Chart]:
    """Draw median latency against size, a chart for each network, batch, scope and mode."""
    return _scaling(
        ("size", "side in pixels, root of the area"),
        rows,
        lambda row: math.sqrt(row.height * row.width),
        lambda row: f"{row.network}, batch {row.batch}, {scope_of(row)}",
    )


def _scaling(
    named: tuple[str, str],
    rows: Sequence[Row],
    at: Callable[[Row], float],
    group: Callable[[Row], str],
) -> list[Chart]:
    name, axis = named
    groups: dict[str, list[Row]] = {}
    for row in ordered(rows):
        if row.rate_per_s is None:
            groups.setdefault(group(row), []).append(row)
    wide = {title: found for title, found in groups.items() if len(set(map(at, found))) > 1}
    return [
        _scaling_chart(title, axis, at, found, markers_of(rows), f"{name}-{k}")
        for k, (title, found) in enumerate(wide.items())
    ]


def _scaling_chart(
    title: str,
    axis: str,
    at: Callable[[Row], float],
    rows: list[Row],
    markers: Mapping[str, str],
    name: str,
) -> Chart:
    lines: dict[str, list[Row]] = {}
    for row in sorted(rows, key=at):
        lines.setdefault(row.label, []).append(row)
    with plane_axes(248) as (drawing, axes):
        for line in lines.values():
            x, y = [at(row) for row in line], [row.median_ms for row in line]
            axes.plot(x, y, color=_colour(line[0].precision), linewidth=1.6)
            for row in line:
                _mark(axes, row, (at(row), row.median_ms), markers, 7)
        axes.set(xscale="log", yscale="log", xlabel=axis, ylabel="median, ms")
        axes.margins(0.06)
        places = sorted({at(row) for row in rows})
        axes.set_xticks(places, [f"{place:.0f}" for place in places])
        axes.xaxis.minorticks_off()
        round_ticks(axes.yaxis, axes.get_ylim(), log=True)
        told = "; ".join(
            f"{label}: "
            + ", ".join(f"{at(row):.0f}: {milliseconds(row.median_ms)}" for row in line)
            for label, line in lines.items()
        )
        svg = to_svg(
            drawing, name=name, description=f"Median latency against {axis}, {title}. {told}."
        )
    return Chart(title, svg)


def roofline_charts(record: Record, networks: Sequence[Network]) -> list[Chart]:
    """Draw each network's blocks and rows below the machine's ceilings; none without ceilings.

    Williams, Waterman, Patterson 2009, "Roofline: an insightful visual performance model".
    """
    if record.ceilings is None:
        return []
    markers = markers_of(record.rows)
    return [
        _roofline(network, record.ceilings, network.rows(ordered(record.rows)), markers, k)
        for k, network in enumerate(networks)
    ]


def _roofline(
    network: Network,
    ceilings: Mapping[str, Any],
    rows: list[Row],
    markers: Mapping[str, str],
    number: int,
) -> Chart:
    copied = ceilings["bytes_per_s"]
    used = {row.computes_in.partition(",")[0] for row in rows}
    peaks = {
        kind: peak
        for kind, peak in ceilings["flops_per_s"].items()
        if kind in used or network.precision in {None, Precision.lookup("compute_dtype", kind)}
    } or ceilings["flops_per_s"]
    blocks = [block for block in network.blocks if block.flops and block.attainable_ns]
    reached = [(row, 1e3 * network.flops / row.median_ms) for row in rows]
    speeds = {block.name: 1e9 * block.flops / (block.attainable_ns or 1) for block in blocks}
    ridges = [peak / copied for peak in peaks.values()]
    intensities = [block.intensity for block in blocks] + [network.intensity]
    low, high = span_of(
        [*intensities, *(k * ridge for ridge in ridges for k in (0.15, 2))], log=True
    )
    heights = [*speeds.values(), *(speed for _, speed in reached)]
    bottom, top = span_of([*heights, *(2 * peak for peak in peaks.values())], log=True)
    with plane_axes(270) as (drawing, axes):
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(bottom, top))
        axes.set(xlabel="FLOP a byte", ylabel="FLOP/s")
        for line, (kind, peak) in enumerate(sorted(peaks.items(), key=lambda one: -one[1])):
            colour = _colour(Precision.lookup("compute_dtype", kind) or kind)
            axes.annotate(  # above the slope nothing can lie
                f"{kind} {compact(peak, 'FLOP/s')}", (0, 1), (4, -11 - 14 * line), color=colour,
                xycoords="axes fraction", textcoords="offset points", weight="bold",
            )  # fmt: skip
            x = [low, peak / copied, high]
            axes.plot(x, [low * copied, peak, peak], color=colour, linewidth=1.6)
        for block in blocks:
            speed = speeds[block.name]
            (ring,) = axes.plot(
                block.intensity, speed, "o", markersize=6, clip_on=False,
                color=colours()["soft"], markerfacecolor=colours()["card"], markeredgewidth=1.4,
            )  # fmt: skip
            allowed = f"attainable {compact(speed, 'FLOP/s')}"
            set_tip(ring, f"{block.name}: {figure(block.intensity)} FLOP a byte, {allowed}")
        for row, speed in reached:
            _mark(axes, row, (network.intensity, speed), markers, 9, compact(speed, "FLOP/s"))
        round_ticks(axes.xaxis, (low, high), log=True)
        round_ticks(axes.yaxis, (bottom, top), log=True, label=lambda value: compact(value, ""))
        svg = to_svg(
            drawing,
            name=f"roofline-{number}",
            description=_roofline_told(network, ceilings, reached),
        )
    return Chart(network.title, svg)


def _roofline_told(
    network: Network, ceilings: Mapping[str, Any], reached: list[tuple[Row, float]]
) -> str:
    peaks = ", ".join(
        f"{kind} {compact(peak, 'FLOP/s')}" for kind, peak in ceilings["flops_per_s"].items()
    )
    points = "; ".join(f"{row.label} reaches {compact(speed, 'FLOP/s')}" for row, speed in reached)
    return (
        f"Roofline of {network.title}: ceilings {peaks} and "
        f"{compact(ceilings['bytes_per_s'], 'B/s')}; the whole network has "
        f"{figure(network.intensity)} FLOP a byte. {points or 'No row was timed'}."
    )


def share_charts(networks: Sequence[Network]) -> list[Chart]:
    """Draw each block's share of the attainable time, split by the ceiling that limits it."""
    return [
        _shares(network, f"share-{k}")
        for k, network in enumerate(one for one in networks if one.attainable_ns)
    ]


def _shares(network: Network, name: str) -> Chart:
    whole = sum(block.attainable_ns or 0.0 for block in network.blocks)
    parts = {block.name: (block.attainable_ns or 0.0) / whole for block in network.blocks}
    strips = [Strip(block, share(part)) for block, part in parts.items()]
    unit = "% of the attainable time"
    span = (0.0, 105 * max(parts.values()))
    with strip_axes(strips, unit, span) as (drawing, axes):
        for middle, block in zip(places(strips, 26), network.blocks, strict=True):
            memory, part = 100 * block.by_memory_ns / whole, 100 * parts[block.name]
            axes.barh(middle, part - memory, 12, color=colours()["fp32"])
            axes.barh(middle, memory, 12, part - memory, color=colours()["fp16"])
        told = "; ".join(f"{block} {share(part)}" for block, part in parts.items())
        described = f"Share of the attainable time of {network.title} by block. {told}."
        svg = to_svg(drawing, name=name, description=described)
    return Chart(network.title, svg)


def attained_charts(networks: Sequence[Network]) -> list[Chart]:
    """Draw the share of the ceiling that each block's convolutions reach, each timed alone."""
    first = {one.name: one for one in reversed(networks) if any(b.attained for b in one.blocks)}
    return [
        _attained(name, [block for block in first[name].blocks if block.attained], f"attained-{k}")
        for k, name in enumerate(dict.fromkeys(one.name for one in networks if one.name in first))
    ]


def _attained(title: str, blocks: list[Block], name: str) -> Chart:
    highest = max(part for block in blocks for part in block.attained.values())
    strips = [
        Strip(block.name, " · ".join(f"{p} {share(part)}" for p, part in block.attained.items()))
        for block in blocks
    ]
    unit = "% of the ceiling's speed: the median convolution"
    with strip_axes(strips, unit, (0.0, 105 * max(1.0, highest))) as (drawing, axes):
        axes.axvline(100, color=colours()["soft"], linewidth=1, linestyle=(0, (3, 3)))
        for top, block in zip(places(blocks, 19), blocks, strict=True):
            height = 15 / len(block.attained)
            for k, (precision, part) in enumerate(block.attained.items()):
                axes.barh(
                    top + k * height, 100 * part, height - 1, align="edge", color=_colour(precision)
                )
        told = "; ".join(f"{strip.name}: {strip.figure}" for strip in strips)
        svg = to_svg(
            drawing,
            name=name,
            description=f"Share of the ceiling that the convolutions of {title} reach. {told}.",
        )
    return Chart(title, svg)


def _mark(
    axes: Any,
    row: Row,
    at: tuple[float, float],
    markers: Mapping[str, str],
    size: float,
    also: str = "",
) -> None:
    """Mark a row: the precision's colour, the library's marker, a rim where it was throttled."""
    throttled = bool(row.throttled_windows)
    (mark,) = axes.plot(
        *at,
        markers[row.backend],
        markersize=size,
        color=_colour(row.precision),
        markeredgecolor=colours()["warn" if throttled else "card"],
        markeredgewidth=2 if throttled else 0.8,
        clip_on=False,
    )
    set_tip(mark, ", ".join(filter(None, (row.label, milliseconds(row.median_ms), also))))


def _colour(precision: str) -> str:
    return colours()[precision if precision in PRECISIONS else "other"]
