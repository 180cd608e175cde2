"""Say in sentences what a benchmark found and what limits it; each follows from its figures.

"Faster" and "slower" are said only of pairs whose interval gave that verdict. All else is a
median, a count or a ratio, named as such.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..record import Record, Row
from .numbers import count, figure, milliseconds, ratio, share
from .views import Network, Pair, case_of, cases_of, ordered

__all__ = ["Tile", "findings", "tiles"]

_LAUNCH_BOUND = 0.8
"""Of the compute time: beyond it trtexec warns that launching may limit (sampleReporting.cpp)."""
_NEAR = 0.75
"""Share of the ceiling from which it is called the limit."""
_BEYOND = 1.05
"""Share of the ceiling beyond which it is none."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Show one figure large, and say what it is."""

    figure: str
    words: str


def findings(record: Record, pairs: Sequence[Pair], networks: Sequence[Network]) -> list[str]:
    """Return the sentences that head the report; `pairs` are those of two precisions."""
    if not record.rows:
        return ["Nothing was timed.", *_missing(record)]
    case = _headline(record)
    return [
        _scope(record),
        _first(case),
        *_end_to_end(case, record),
        *_precisions(pairs),
        _limit(record, case, networks),
        *_launching(case),
        *_throttled(record),
        *_warned(record),
        *_missing(record),
    ]


def tiles(record: Record, pairs: Sequence[Pair]) -> list[Tile]:
    """Return the figures to be seen first; `pairs` are those of two precisions."""
    if not record.rows:
        return []
    case = _headline(record)
    best = _fastest(case)
    found = [Tile(milliseconds(best.median_ms), f"lowest median: {best.label}, {case_of(best)}")]
    halves = [
        pair
        for pair in pairs
        if pair.b in case
        and (pair.a.precision, pair.b.precision) == ("fp32", "fp16")
        and pair.a.computes_in != pair.b.computes_in
    ]
    if halves:
        pair = min(halves, key=lambda pair: pair.b.median_ms)
        words = f"FP16 / FP32, ratio of medians on {pair.b.backend}: {pair.comparison.verdict}"
        found.append(Tile(ratio(pair.comparison.ratio), words))
    known = [row for row in case if row.roofline is not None]
    if known:
        top = _fastest(known)
        words = f"of the speed that the ceilings allow: {top.label}"
        found.append(Tile(share(_attained(top)), words))
    samples = sum(len(row.host_ns) for row in record.rows)
    words = f"samples in {count(len(record.rows), 'row')}, none left out"
    return [*found, Tile(f"{samples:,}", words)]


def _headline(record: Record) -> list[Row]:
    """Return the rows of the case to speak of first.

    The core, serialised, at the smallest batch; of those the case with most rows; of those the one
    that was measured first.
    """
    return max(
        cases_of(record.rows).values(),
        key=lambda case: (
            case[0].scope == "core",
            case[0].mode == "serialised",
            -case[0].batch,
            len(case),
        ),
    )


def _fastest(rows: Sequence[Row]) -> Row:
    return min(rows, key=lambda row: row.median_ms)


def _attained(row: Row) -> float:
    return 0.0 if row.roofline is None else row.roofline["share"]


def _scope(record: Record) -> str:
    rows = record.rows
    devices = _listed(sorted({row.device for row in rows}))
    networks = count(len({row.network for row in rows}), "network")
    cases = count(len(cases_of(rows)), "case")
    return f"{count(len(rows), 'row')} in {cases} of {networks} were timed on {devices}."


def _first(case: list[Row]) -> str:
    best = _fastest(case)
    said = f"For {case_of(best)}, {best.label} has "
    if len(case) == 1:
        return f"{said}a median of {milliseconds(best.median_ms)}{_tail(best)}."
    last = max(case, key=lambda row: row.median_ms)
    return (
        f"{said}the lowest median of {count(len(case), 'row')}: {milliseconds(best.median_ms)}"
        f"{_tail(best)}; the highest is {milliseconds(last.median_ms)}, by {last.label}."
    )


def _tail(row: Row) -> str:
    known = [name for name in row.latency_ms if name.startswith("p") and name != "p50"]
    if not known:
        return f" ({count(len(row.host_ns), 'sample')}, too few for a tail)"
    name = max(known, key=lambda p: float(p[1:]))
    return f" ({name} {milliseconds(row.latency_ms[name])})"


def _end_to_end(case: list[Row], record: Record) -> list[str]:
    best = _fastest(case)
    if best.scope != "core":
        return []
    same = (best.network, best.shape, best.label, best.mode)
    for row in ordered(record.rows):
        if row.scope == "end_to_end" and (row.network, row.shape, row.label, row.mode) == same:
            times = figure(row.median_ms / best.median_ms)
            median = f"{milliseconds(row.median_ms)}, {times} times that of its core"
            return [f"End to end, from host memory to host memory, its median is {median}."]
    return []


def _precisions(pairs: Sequence[Pair]) -> list[str]:
    sentences = []
    for a, b in dict.fromkeys((pair.a.precision, pair.b.precision) for pair in pairs):
        group = [pair for pair in pairs if (pair.a.precision, pair.b.precision) == (a, b)]
        libraries = list(dict.fromkeys(pair.a.backend for pair in group))
        said = [_verdicts(name, [p for p in group if p.a.backend == name]) for name in libraries]
        sentence = f"{b.upper()} against {a.upper()}: {'; '.join(said)}."
        alike = sorted({p.a.backend for p in group if p.a.computes_in == p.b.computes_in})
        if alike:
            sentence += (
                f" On {_listed(alike)} both compute in the same type, so that this says "
                f"nothing of {b} arithmetic."
            )
        sentences.append(sentence)
    return sentences


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _verdicts(library: str, pairs: list[Pair]) -> str:
    counts = Counter(pair.comparison.verdict for pair in pairs)
    ratios = sorted(pair.comparison.ratio for pair in pairs)
    if len(pairs) == 1:
        return f"on {library} {pairs[0].comparison.verdict} (ratio of medians {ratio(ratios[0])})"
    said = ", ".join(f"{verdict} in {times}" for verdict, times in counts.most_common())
    spread = f"{ratio(ratios[0])} to {ratio(ratios[-1])}"
    return f"on {library} {said} of {len(pairs)} pairs (ratio of medians {spread})"


def _limit(record: Record, case: list[Row], networks: Sequence[Network]) -> str:
    """Say how near the ceiling the row of the lowest median comes, and which ceiling it is."""
    if record.ceilings is None:
        return "The machine's ceilings were not measured, so what limits it is not known."
    known = [row for row in case if row.roofline is not None]
    if not known:
        return "This case has no roofline, so what limits it is not known."
    row = _fastest(known)
    reached, least_ns = _attained(row), (row.roofline or {})["attainable_ns"]
    sentence = (
        f"The measured ceilings allow {row.label} {milliseconds(least_ns / 1e6)} at least; "
        f"it reaches {share(reached)} of that speed"
    )
    if reached > _BEYOND:
        doubt = "they were measured too low, or its tensors stay in a cache"
        return f"{sentence}, more than they allow: {doubt}. What limits it is not known."
    parts = _limits_by_kind(row, least_ns, networks)
    if reached >= _NEAR:
        return f"{sentence}: the chip's ceilings limit it{parts}."
    return f"{sentence}; they do not explain the other {share(1 - reached)} of its time{parts}."


def _limits_by_kind(row: Row, least_ns: float, networks: Sequence[Network]) -> str:
    for network in networks:
        memory = network.by_memory
        if not network.rows([row]) or memory is None or network.attainable_ns is None:
            continue
        # Only where the network was held to the ceiling of the type that the row computes in.
        if math.isclose(network.attainable_ns, least_ns, rel_tol=0.01):
            return (
                f" (arithmetic limits {share(1 - memory)} of the attainable time, memory traffic "
                f"{share(memory)})"
            )
    return ""


def _launching(case: list[Row]) -> list[str]:
    """Name the rows that the host takes about as long to launch as the device to compute."""
    found = []
    for row in case:
        enqueue, compute = (row.samples_ns.get(stage) for stage in ("enqueue", "compute"))
        if enqueue and compute:
            launch_ms, compute_ms = (statistics.median(ns) / 1e6 for ns in (enqueue, compute))
            if launch_ms > _LAUNCH_BOUND * compute_ms:
                found.append(
                    f"Launching {row.label} takes the host {milliseconds(launch_ms)}, its compute "
                    f"{milliseconds(compute_ms)}: the host may limit it."
                )
    return found


def _throttled(record: Record) -> list[str]:
    # A CPU's windows have no clocks of a GPU: nothing was asked of them.
    every = sum(w.sm_clock_mhz is not None for row in record.rows for w in row.windows)
    slowed = [window for row in record.rows for window in row.throttled_windows]
    if not every:
        return []
    if not slowed:
        return [f"None of {count(every, 'window')} was throttled."]
    reasons = sorted({reason for window in slowed for reason in window.throttle})
    marked = count(sum(bool(row.throttled_windows) for row in record.rows), "row")
    of = f"{len(slowed)} of {count(every, 'window')} ({', '.join(reasons) or 'reason not known'})"
    return [f"Throttled: {of}, in {marked}, marked as such."]


def _warned(record: Record) -> list[str]:
    warned = sum(bool(row.warnings) for row in record.rows)
    return [f"{warned} of {count(len(record.rows), 'row')} with warnings, listed below."] * bool(
        warned
    )


def _missing(record: Record) -> list[str]:
    if not record.failures:
        return ["Nothing that was asked for is missing."]
    reasons = Counter(failure.reason for failure in record.failures)
    (reason, times), *others = reasons.most_common()
    reason = reason.partition(": got ")[0].rstrip(".")
    said = f"{reason} ({times})" if others else reason
    rest = f", and {count(len(others), 'other reason')}" if others else ""
    return [f"Asked for and missing: {count(len(record.failures), 'row')}; {said}{rest}."]
