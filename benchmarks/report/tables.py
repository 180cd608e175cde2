"""The tables, made once, for the page and for the Markdown file."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .network import Network
from .numbers import MISSING, compact, figure, ratio, share
from .pairs import Pair
from .row import Row

__all__ = [
    "Table", "all_rows", "comparisons", "failures", "least_times", "machine", "stages",
    "warnings", "windows",
]  # fmt: skip

_STAGES = {
    "host": "host to host", "enqueue": "enqueue", "copy_in": "copy in", "compute": "compute",
    "copy_out": "copy out", "service": "without the queue",
}  # fmt: skip
_PERCENTILES = ("p50", "p90", "p99", "p99.9")
_MOST_IDS = 8


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of text; the first column names the row, the next `words` are text too."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 0


def all_rows(rows: Sequence[Row]) -> Table:
    """Every row, with the percentiles that its samples carry."""
    columns = (
        "network", "input", "library", "precision", "computes in", "what", "runs",
        "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "min ms", "max ms", "images/s", "of ceilings",
        "marks",
    )  # fmt: skip
    return Table(columns, tuple(map(_cells, rows)), words=5)


def _cells(row: Row) -> tuple[str, ...]:
    latency = row.latency_ms
    attained = row.attained
    return (
        row.network,
        row.shape,
        row.backend + (" (peer)" if row.peer else ""),
        row.precision + (f", rebuild {row.rebuild}" if row.rebuild else ""),
        row.arithmetic,
        row.how,
        f"{latency['n']:,}",
        *(figure(latency[name]) if name in latency else MISSING for name in _PERCENTILES),
        figure(latency["min"]),
        figure(latency["max"]),
        figure(row.fields["images_per_s"]),
        MISSING if attained is None else share(attained),
        ", ".join(["throttled"] * bool(row.throttled) + ["warned"] * bool(row.warnings)),
    )


def comparisons(pairs: Sequence[Pair]) -> Table:
    """Every comparison, with interval, A/A run and verdict."""
    columns = (
        "case", "a", "b", "b is", "a, p50 ms", "b, p50 ms", "b / a", "95 % interval", "A/A run",
        "rebuilds",
    )  # fmt: skip
    return Table(columns, tuple(map(_pair_cells, pairs)), words=3)


def _pair_cells(pair: Pair) -> tuple[str, ...]:
    a, b = pair.a, pair.b
    same = a.case == b.case
    return (
        a.case if same else f"{a.case} / {b.case}",
        a.runner,
        b.runner,
        pair.verdict,
        figure(a.p50_ms),
        figure(b.p50_ms),
        ratio(pair.ratio),
        pair.interval,
        pair.null,
        str(pair.rebuilds),
    )


def stages(rows: Sequence[Row]) -> Table:
    """Medians by each clock, of rows that more than one saw."""
    seen = [row for row in rows if len(row.stages_ns) > 1]
    names = [name for name in _STAGES if any(name in row.stages_ns for row in seen)]
    return Table(
        ("row", *(f"{_STAGES[name]}, p50 ms" for name in names)),
        tuple(
            (
                row.title,
                *(
                    figure(statistics.median(row.stages_ns[name]) / 1e6)
                    if name in row.stages_ns
                    else MISSING
                    for name in names
                ),
            )
            for row in seen
        ),
    )


def least_times(networks: Sequence[Network]) -> Table:
    """What each network takes at least, by the ceilings, and what limits that."""
    columns = ("network", "FLOP", "bytes", "FLOP a byte", "least ms", "of it limited by memory")
    return Table(
        columns,
        tuple(
            (
                network.title,
                compact(network.flops, "FLOP"),
                compact(network.bytes, "B"),
                figure(network.flops / network.bytes),
                MISSING if network.attainable_ns is None else figure(network.attainable_ns / 1e6),
                MISSING if network.by_memory is None else share(network.by_memory),
            )
            for network in networks
        ),
    )


def machine(record: dict[str, Any]) -> Table:
    """What the figures belong to, one fact a row; versions of packages in one."""
    facts: list[tuple[str, str]] = []
    for name, value in record["machine"].items():
        if isinstance(value, dict):
            said = ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
        elif isinstance(value, list):
            said = ", ".join(map(str, value))
        else:
            said = "none" if value is None else str(value)
        facts.append((name.replace("_", " "), said))
    if record["ceilings"] is not None:
        facts.append(("ceilings", _ceilings(record["ceilings"])))
    facts += [("made", record["made"]), ("command", record["command"])]
    return Table(("fact", ""), tuple(facts), words=1)


def _ceilings(ceilings: dict[str, Any]) -> str:
    peaks = [f"{kind} {compact(peak, 'FLOP/s')}" for kind, peak in ceilings["flops_per_s"].items()]
    copied = compact(ceilings["bytes_per_s"], "B/s")
    return f"{', '.join(peaks)}, copy {copied}; {ceilings['how']} ({ceilings['device']})"


def windows(rows: Sequence[Row]) -> Table:
    """Every window in which the device slowed itself down."""
    columns = ("row", "why", "window s", "SM MHz", "memory MHz", "W", "°C")
    return Table(
        columns,
        tuple(
            (
                row.title,
                ", ".join(window["throttle"]) or "not said",
                f"{window['began_s']:.1f} to {window['ended_s']:.1f}",
                *(
                    MISSING if window[name] is None else figure(window[name])
                    for name in ("sm_clock_mhz", "memory_clock_mhz", "power_w", "temperature_c")
                ),
            )
            for row in rows
            for window in row.throttled
        ),
        words=1,
    )


def warnings(rows: Sequence[Row]) -> Table:
    """Why some rows should not be trusted."""
    return Table(
        ("row", "warning"),
        tuple((row.title, warning) for row in rows for warning in row.warnings),
        words=1,
    )


def failures(record: dict[str, Any]) -> Table:
    """What is missing and why; those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for failure in record["failures"]:
        reasons.setdefault(failure["reason"], []).append(failure["id"])
    return Table(
        ("reason", "how many", "which"),
        tuple((reason, str(len(ids)), _some(ids)) for reason, ids in reasons.items()),
        words=2,
    )


def _some(ids: Sequence[str]) -> str:
    """Return the first ids; the record has them all."""
    shown, others = ids[:_MOST_IDS], len(ids) - _MOST_IDS
    return ", ".join(shown) + (f" and {others} more, in the record" if others > 0 else "")
