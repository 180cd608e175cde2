"""Two records of one benchmark, row by row: what became slower, and is it beyond doubt?"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from unetrt.errors import BadInput

from ..measuring.bootstrap import Ratio, own_ratio, unpaired_ratio, verdict
from .record import Record
from .row import Row

__all__ = ["ComparedRecords", "RowChange", "compare_records"]

_MACHINE = ("cpu", "cores", "gpu", "system", "python")
_OWN = ("device", "computes_in", "configuration", "input")


@dataclass(frozen=True, slots=True)
class RowChange:
    """How a row of the new record did beside its namesake of the old one.

    Attributes:
        ratio: median of the new over median of the old, with its interval.
        null: the widest interval that either record has of the row beside itself.
        verdict: of the new: "faster", "slower" or "cannot be told apart".
        differs: what else changed: "device", "computes_in", "configuration", "input".
    """

    id: str
    ratio: Ratio
    null: Ratio
    verdict: str
    differs: tuple[str, ...]

    def slower_beyond_doubt(self, limit: float) -> bool:
        """Whether even the lower end of the interval is above 1 + limit."""
        return self.verdict == "slower" and self.ratio.low > 1 + limit


@dataclass(frozen=True, slots=True)
class ComparedRecords:
    """All rows of both.

    Attributes:
        changes: of the rows in both, in the new record's order.
        only_old, only_new: ids of the others.
        machine: what of the machine differs, by name: (old, new).
        packages: the same of the packages' versions.
    """

    changes: tuple[RowChange, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    machine: dict[str, tuple[Any, Any]]
    packages: dict[str, tuple[Any, Any]]


def compare_records(old: Record, new: Record) -> ComparedRecords:
    """Compare rows of one id by their raw samples.

    The interval alone knows too little of a machine that drifts: a difference must also clear what
    the row came to beside itself, every second turn of it and in the A/A runs of both records.
    What changed between the two runs and not within either stays in the ratio.

    Raises:
        BadInput: no row is in both.
    """
    before, after = ({row.id: row for row in record.rows} for record in (old, new))
    both = [name for name in after if name in before]
    if not both:
        raise BadInput(
            "The two records have no row in common",
            got=f"{_shown(before)} and {_shown(after)}",
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
    ratio = unpaired_ratio(old.turns_ns, new.turns_ns)
    differs = tuple(name for name in _OWN if getattr(old, name) != getattr(new, name))
    return RowChange(new.id, ratio, null, verdict(ratio, null), differs)


def _null(name: str, *records: Record) -> Ratio:
    known = [own_ratio(record.row(name).turns_ns) for record in records]
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


def _shown(rows: dict[str, Row]) -> str:
    first = next(iter(rows), None)
    return "no row" if first is None else f"{len(rows)} rows such as {first}"
