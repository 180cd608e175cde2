"""Compare rows: two of one run, or two records of one benchmark row by row."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unetrt.errors import BadInput

from .record import Comparison, Record, Row
from .statistics import Ratio, own_ratio, paired_ratio, unpaired_ratio, verdict

__all__ = ["ComparedRecords", "RowChange", "compare_records", "compare_rows"]

_MACHINE = ("cpu", "cores", "gpu", "system", "python")
_OWN = ("device", "computes_in", "configuration", "input")


def compare_rows(
    first: Row, other: Row, again_ns: Sequence[Sequence[int]] | None = None
) -> Comparison:
    """Compare a row with the first one; the first one's A/A test is the null.

    All were timed in the same rounds.

    Args:
        first: the baseline, a.
        other: b.
        again_ns: samples of the baseline's second copy, round by round, in nanoseconds; without
            one there is no A/A test.
    """
    # In open_loop all samples are of one round: blocks of them are drawn.
    ratio_of = unpaired_ratio if first.mode == "open_loop" else _paired
    null = None if again_ns is None else ratio_of(first.rounds_ns, again_ns)
    ratio = ratio_of(first.rounds_ns, other.rounds_ns)
    return Comparison(
        a=first.id,
        b=other.id,
        ratio=ratio.ratio,
        low=ratio.low,
        high=ratio.high,
        null_low=None if null is None else null.low,
        null_high=None if null is None else null.high,
        rebuilds=1,
        verdict=verdict(ratio, null),
    )


def _paired(a: Sequence[Sequence[int]], b: Sequence[Sequence[int]]) -> Ratio:
    return paired_ratio([a], [b])


@dataclass(frozen=True, slots=True)
class RowChange:
    """Compare a row of the new record with the row of the same id in the old one.

    Attributes:
        ratio: median of the new over median of the old, with its interval.
        null: the widest interval of the row's A/A tests in either record.
        verdict: of the new: "faster", "slower" or "cannot be told apart".
        differs: what else changed: "device", "computes_in", "configuration", "input".
    """

    id: str
    ratio: Ratio
    null: Ratio
    verdict: str
    differs: tuple[str, ...]

    def slower_beyond_doubt(self, limit: float) -> bool:
        """Tell whether even the lower end of the interval is above 1 + limit."""
        return self.verdict == "slower" and self.ratio.low > 1 + limit


@dataclass(frozen=True, slots=True)
class ComparedRecords:
    """Hold the comparison of two records.

    Attributes:
        changes: of the rows in both, in the new record's order.
        only_old, only_new: ids of the others.
        machine: facts of the machine that differ, by name: (old, new).
        packages: versions of packages that differ, likewise.
    """

    changes: tuple[RowChange, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    machine: dict[str, tuple[Any, Any]]
    packages: dict[str, tuple[Any, Any]]


def compare_records(old: Record, new: Record) -> ComparedRecords:
    """Compare the rows of one id in two records by their raw samples.

    The interval alone knows too little of a machine that drifts: a difference must also clear the
    row's A/A tests, those of every second round of it and those that both records hold.
    What changed between the two runs and not within either stays in the ratio.

    Args:
        old: the baseline.
        new: a later record.

    Returns:
        The change of each row that both have, and what else differs.

    Raises:
        BadInput: no row is in both.

    Example:
        >>> from pathlib import Path
        >>> from unetrt.benchmarks import read_record
        >>> record = read_record(Path("record.json"))
        >>> first = compare_records(record, record).changes[0]
        >>> first.ratio.ratio, first.verdict
        (1.0, 'cannot be told apart')
    """
    before, after = ({row.id: row for row in record.rows} for record in (old, new))
    both = [name for name in after if name in before]
    if not both:
        raise BadInput(
            "The two records have no row in common",
            got=f"{_named(before)} and {_named(after)}",
            expected="rows of one id in both",
        )
    return ComparedRecords(
        changes=tuple(_change(before[name], after[name], _null(name, old, new)) for name in both),
        only_old=tuple(name for name in before if name not in after),
        only_new=tuple(name for name in after if name not in before),
        machine=_differences(old.machine, new.machine, _MACHINE),
        packages=_differences(old.machine["packages"], new.machine["packages"]),
    )


def _change(old: Row, new: Row, null: Ratio) -> RowChange:
    ratio = unpaired_ratio(old.rounds_ns, new.rounds_ns)
    differs = tuple(name for name in _OWN if getattr(old, name) != getattr(new, name))
    return RowChange(new.id, ratio, null, verdict(ratio, null), differs)


def _null(name: str, *records: Record) -> Ratio:
    known = [own_ratio(record.row(name).rounds_ns) for record in records]
    known += [
        Ratio(1.0, one.null_low, one.null_high)
        for record in records
        for one in record.comparisons
        if name in (one.a, one.b) and one.null_low is not None and one.null_high is not None
    ]
    return functools.reduce(Ratio.joined, known)


def _differences(
    old: dict[str, Any], new: dict[str, Any], names: tuple[str, ...] = ()
) -> dict[str, tuple[Any, Any]]:
    return {
        name: (old.get(name), new.get(name))
        for name in names or sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def _named(rows: dict[str, Row]) -> str:
    first = next(iter(rows), None)
    return "no row" if first is None else f"{len(rows)} rows such as {first}"
