"""What was found and what limits it, in words. Each sentence follows from figures of the record.

"Faster" and "slower" are said only of pairs whose interval gave that verdict. All else is a
median, a count or a ratio, named as such.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .distributions import by_case
from .limits import launching, limits
from .network import Network
from .numbers import count, figure, milliseconds, ratio, share
from .pairs import Pair
from .row import Row

__all__ = ["Tile", "findings", "headline", "tiles"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure to be seen first, and what it is."""

    figure: str
    words: str


def headline(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the case to speak of first.

    The core, serialised, at the smallest batch; of those the case with most rows; of those the one
    that was measured first.
    """
    cases = list(by_case(rows).values())
    if not cases:
        return []
    return max(
        cases,
        key=lambda case: (
            case[0].scope == "core",
            case[0].mode == "serialised",
            -case[0].batch,
            len(case),
            -min(row.place for row in case),
        ),
    )


def findings(
    record: dict[str, Any], rows: Sequence[Row], pairs: Sequence[Pair], networks: Sequence[Network]
) -> list[str]:
    """Return the sentences of the first paragraph; `pairs` are those of two precisions."""
    if not rows:
        return ["Nothing was timed.", *_missing(record)]
    case = headline(rows)
    return [
        *_scope(rows),
        *_first(case),
        *_beyond_the_core(case, rows),
        *_precisions(pairs),
        *limits(record, case, networks),
        *launching(case),
        *_throttled(rows),
        *_warned(rows),
        *_missing(record),
    ]


def tiles(rows: Sequence[Row], pairs: Sequence[Pair]) -> list[Tile]:
    """Return up to four figures of the case that is spoken of first."""
    case = headline(rows)
    if not case:
        return []
    best = min(case, key=lambda row: row.p50_ms)
    found = [Tile(milliseconds(best.p50_ms), f"lowest median: {best.runner}, {best.case}")]
    halves = [
        pair
        for pair in pairs
        if pair.b in case
        and (pair.a.precision, pair.b.precision) == ("fp32", "fp16")
        and pair.a.computes_in != pair.b.computes_in
    ]
    if halves:
        pair = min(halves, key=lambda pair: pair.b.p50_ms)
        words = f"FP16 / FP32, ratio of medians on {pair.b.backend}: {pair.verdict}"
        found.append(Tile(ratio(pair.ratio), words))
    attained = [row for row in case if row.attained is not None]
    if attained:
        top = min(attained, key=lambda row: row.p50_ms)
        words = f"of the speed that the ceilings allow: {top.runner}"
        found.append(Tile(share(top.attained or 0.0), words))
    samples = sum(int(row.latency_ms["n"]) for row in rows)
    found.append(Tile(f"{samples:,}", f"timed runs in {count(len(rows), 'row')}, none left out"))
    return found


def _scope(rows: Sequence[Row]) -> list[str]:
    devices = " and ".join(sorted({row.device for row in rows}))
    networks = count(len({row.network for row in rows}), "network")
    cases = count(len(by_case(rows)), "case")
    return [f"{count(len(rows), 'row')} in {cases} of {networks} were timed on {devices}."]


def _first(case: list[Row]) -> list[str]:
    ranked = sorted(case, key=lambda row: row.p50_ms)
    best = ranked[0]
    tail = _tail(best)
    said = f"For {best.case}, {best.runner} has "
    if len(ranked) == 1:
        return [f"{said}a median of {milliseconds(best.p50_ms)}{tail}."]
    last = ranked[-1]
    said += f"the lowest median of {count(len(ranked), 'row')}: {milliseconds(best.p50_ms)}{tail}"
    return [f"{said}; the highest is {milliseconds(last.p50_ms)}, by {last.runner}."]


def _tail(row: Row) -> str:
    carried = [name for name in row.latency_ms if name.startswith("p") and name != "p50"]
    if not carried:
        return f" ({count(int(row.latency_ms['n']), 'run')}, too few for a tail)"
    name = max(carried, key=lambda p: float(p[1:]))
    return f" ({name} {milliseconds(row.latency_ms[name])})"


def _precisions(pairs: Sequence[Pair]) -> list[str]:
    sentences = []
    for a, b in dict.fromkeys((pair.a.precision, pair.b.precision) for pair in pairs):
        group = [pair for pair in pairs if (pair.a.precision, pair.b.precision) == (a, b)]
        libraries = list(dict.fromkeys(pair.a.backend for pair in group))
        said = [_verdicts(name, [p for p in group if p.a.backend == name]) for name in libraries]
        sentences.append(f"{b.upper()} against {a.upper()}: {'; '.join(said)}.")
        alike = sorted({p.a.backend for p in group if p.a.computes_in == p.b.computes_in})
        if alike:
            sentences.append(
                f"On {' and '.join(alike)} both compute in the same type, so that this says "
                f"nothing of {b} arithmetic."
            )
    return sentences


def _verdicts(library: str, pairs: list[Pair]) -> str:
    counts = Counter(pair.verdict for pair in pairs)
    ratios = sorted(pair.ratio for pair in pairs)
    if len(pairs) == 1:
        return f"on {library} {pairs[0].verdict} (ratio of medians {ratio(ratios[0])})"
    said = ", ".join(f"{verdict} in {times}" for verdict, times in counts.most_common())
    spread = f"{ratio(ratios[0])} to {ratio(ratios[-1])}"
    return f"on {library} {said} of {len(pairs)} pairs (ratio of medians {spread})"


def _beyond_the_core(case: list[Row], rows: Sequence[Row]) -> list[str]:
    best = min(case, key=lambda row: row.p50_ms)
    if best.scope != "core":
        return []
    for row in rows:
        same = (row.network, row.shape, row.runner, row.mode)
        if row.scope == "end_to_end" and same == (best.network, best.shape, best.runner, best.mode):
            times = figure(row.p50_ms / best.p50_ms)
            median = f"{milliseconds(row.p50_ms)}, {times} times that of its core"
            return [f"End to end, from host memory to host memory, its median is {median}."]
    return []


def _throttled(rows: Sequence[Row]) -> list[str]:
    every = sum(row.watched for row in rows)
    slowed = [window for row in rows for window in row.throttled]
    if not every:
        return []
    if not slowed:
        return [f"None of {count(every, 'window')} was throttled."]
    why = sorted({reason for window in slowed for reason in window["throttle"]})
    marked = count(sum(bool(row.throttled) for row in rows), "row")
    of = f"{len(slowed)} of {count(every, 'window')} ({', '.join(why) or 'not said why'})"
    return [f"Throttled: {of}, in {marked}, marked as such."]


def _warned(rows: Sequence[Row]) -> list[str]:
    warned = sum(bool(row.warnings) for row in rows)
    return [f"{count(warned, 'row')} of {len(rows)} with a warning, see below."] if warned else []


def _missing(record: dict[str, Any]) -> list[str]:
    failures = record["failures"]
    if not failures:
        return ["Nothing that was asked for is missing."]
    reasons = Counter(failure["reason"] for failure in failures)
    (reason, times), *others = reasons.most_common()
    reason = reason.partition(": got ")[0].rstrip(".")
    said = f"{reason} ({times})" if others else reason
    rest = f", and {count(len(others), 'other reason')}" if others else ""
    return [f"Asked for and missing: {count(len(failures), 'row')}; {said}{rest}."]
