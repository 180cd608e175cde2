"""List the figures of a record in tables, for the page and for the Markdown file."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..record import Record, Row
from .numbers import MISSING, compact, figure, interval, ratio, share, sizes
from .views import Network, Pair, case_of, ordered, scope_of, title_of

__all__ = [
    "Table",
    "all_rows",
    "attainable_times",
    "comparisons",
    "failures",
    "machine",
    "stages",
    "throttled",
    "warnings",
]

_STAGES = {
    "host": "host to host", "enqueue": "enqueue", "copy_in": "copy in", "compute": "compute",
    "copy_out": "copy out", "service": "without the queue",
}  # fmt: skip
_PERCENTILES = ("p50", "p90", "p99", "p99.9")
_MOST_IDS = 8


@dataclass(frozen=True, slots=True)
class Table:
    """Hold columns and rows of text.

    Attributes:
        columns: their heads.
        rows: of as many cells; the first names the row.
        words: how many of the next columns are text too; the others are numbers.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 0


def all_rows(rows: Sequence[Row]) -> Table:
    """List every row, with the percentiles that its samples are enough for."""
    percentiles = [name for name in _PERCENTILES if any(name in row.latency_ms for row in rows)]
    columns = (
        "network", "input", "library", "precision", "computes in", "scope", "samples",
        *(f"{name} ms" for name in percentiles), "min ms", "max ms", "images/s", "of ceiling",
        "notes",
    )  # fmt: skip
    return Table(columns, tuple(_cells(row, percentiles) for row in ordered(rows)), words=5)


def _cells(row: Row, percentiles: Sequence[str]) -> tuple[str, ...]:
    latency = row.latency_ms
    notes = ["throttled"] * bool(row.throttled_windows) + ["warning"] * bool(row.warnings)
    return (
        row.network,
        sizes(*row.shape),
        row.backend + (" (peer)" if row.peer else ""),
        row.precision + (f", rebuild {row.rebuild}" if row.rebuild else ""),
        row.arithmetic,
        scope_of(row),
        f"{latency['n']:,}",
        *(figure(latency[name]) if name in latency else MISSING for name in percentiles),
        figure(latency["min"]),
        figure(latency["max"]),
        figure(row.images_per_s),
        MISSING if row.roofline is None else share(row.roofline["share"]),
        ", ".join(notes),
    )


def comparisons(pairs: Sequence[Pair]) -> Table:
    """List every comparison, with its interval, the A/A test's, and the verdict."""
    columns = (
        "case", "a", "b", "b is", "a, p50 ms", "b, p50 ms", "b / a", "95 % interval", "A/A test",
        "rebuilds",
    )  # fmt: skip
    return Table(columns, tuple(map(_pair_cells, pairs)), words=3)


def _pair_cells(pair: Pair) -> tuple[str, ...]:
    a, b = pair.a, pair.b
    return (
        case_of(a) if pair.same_case else f"{case_of(a)} / {case_of(b)}",
        a.label,
        b.label,
        pair.comparison.verdict,
        figure(a.median_ms),
        figure(b.median_ms),
        ratio(pair.comparison.ratio),
        interval(pair.interval),
        interval(pair.null),
        str(pair.comparison.rebuilds),
    )


def stages(rows: Sequence[Row]) -> Table:
    """List the medians by each clock, of rows that more than one saw."""
    seen = [row for row in ordered(rows) if len(list(filter(None, row.samples_ns.values()))) > 1]
    names = [name for name in _STAGES if any(row.samples_ns.get(name) for row in seen)]
    return Table(
        ("row", *(f"{_STAGES[name]}, p50 ms" for name in names)),
        tuple((title_of(row), *(_median(row, name) for name in names)) for row in seen),
    )


def _median(row: Row, stage: str) -> str:
    taken = row.samples_ns.get(stage)
    return figure(statistics.median(taken) / 1e6) if taken else MISSING


def attainable_times(networks: Sequence[Network]) -> Table:
    """List the least time that the ceilings allow each network, and what limits it."""
    columns = (
        "network", "FLOP", "bytes", "FLOP a byte", "attainable ms", "of it limited by memory",
    )  # fmt: skip
    return Table(
        columns,
        tuple(
            (
                network.title,
                compact(network.flops, "FLOP"),
                compact(network.bytes, "B"),
                figure(network.intensity),
                MISSING if network.attainable_ns is None else figure(network.attainable_ns / 1e6),
                MISSING if network.by_memory is None else share(network.by_memory),
            )
            for network in networks
        ),
    )


def machine(record: Record) -> Table:
    """List the facts of the machine and of the run, versions of packages in one row."""
    facts = [(name.replace("_", " "), _fact(value)) for name, value in record.machine.items()]
    if record.ceilings is not None:
        facts.append(("ceilings", _ceilings(record.ceilings)))
    facts += [("made", record.made), ("command", record.command)]
    return Table(("fact", "value"), tuple(facts), words=1)


def _fact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value)


def _ceilings(ceilings: Mapping[str, Any]) -> str:
    peaks = [f"{kind} {compact(peak, 'FLOP/s')}" for kind, peak in ceilings["flops_per_s"].items()]
    copied = compact(ceilings["bytes_per_s"], "B/s")
    return f"{', '.join(peaks)}, copy {copied}; {ceilings['how']} ({ceilings['device']})"


def throttled(rows: Sequence[Row]) -> Table:
    """List every window in which the device held its clocks back."""
    columns = ("row", "reason", "seconds", "SM MHz", "memory MHz", "W", "°C")
    return Table(
        columns,
        tuple(
            (
                title_of(row),
                ", ".join(window.throttle) or "not known",
                f"{window.began_s:.1f} to {window.ended_s:.1f}",
                *(
                    MISSING if seen is None else figure(seen)
                    for seen in (
                        window.sm_clock_mhz,
                        window.memory_clock_mhz,
                        window.power_w,
                        window.temperature_c,
                    )
                ),
            )
            for row in ordered(rows)
            for window in row.throttled_windows
        ),
        words=1,
    )


def warnings(rows: Sequence[Row]) -> Table:
    """List the reasons not to trust some rows."""
    return Table(
        ("row", "warning"),
        tuple((title_of(row), warning) for row in ordered(rows) for warning in row.warnings),
        words=1,
    )


def failures(record: Record) -> Table:
    """List the rows that are missing, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for failure in record.failures:
        reasons.setdefault(failure.reason, []).append(failure.id)
    return Table(
        ("reason", "rows", "ids"),
        tuple((reason, str(len(ids)), _first(ids)) for reason, ids in reasons.items()),
        words=2,
    )


def _first(ids: Sequence[str]) -> str:
    """Return the first ids; the record has them all."""
    shown, others = ids[:_MOST_IDS], len(ids) - _MOST_IDS
    return ", ".join(shown) + (f" and {others} more, in the record" if others > 0 else "")
