"""`unetrt compare`: tell whether a benchmark has become slower."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from unetrt.benchmarks import read_record
from unetrt.benchmarks.compare import ComparedRecords, compare_records
from unetrt.cli.options import read_percent
from unetrt.cli.output import emit, interval, table
from unetrt.cli.shell import AsJson
from unetrt.errors import CheckFailed

__all__ = ["compare"]


def compare(
    old: Annotated[Path, typer.Argument(help="A file that `unetrt bench --out` wrote.")],
    new: Annotated[Path, typer.Argument(help="Another, later one.")],
    fail_above: Annotated[
        float | None,
        typer.Option(
            parser=read_percent,
            metavar="PERCENT",
            help="Exit with 1 if a row is slower by more than this, such as 5%.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two records of one benchmark, row by row.

    The ratio of the medians with its 95 % interval, how far a row is from itself within either
    record, and a verdict; a row fails where it is slower and the whole interval above the limit.
    """
    found = compare_records(read_record(old), read_record(new))
    rows = [
        [
            change.id,
            f"{change.ratio.ratio:.3f}",
            interval(change.ratio.low, change.ratio.high),
            interval(change.null.low, change.null.high),
            change.verdict,
        ]
        for change in found.changes
    ]
    columns = ["", "new / old", "95 %", "beside itself", "the new one is"]
    emit(
        _result(found, fail_above),
        as_json=as_json,
        shown=[*_warnings(found), table("Medians", columns, rows), *_aside(found, old, new)],
        failure=None if fail_above is None else _failure(found, fail_above),
    )


def _result(found: ComparedRecords, limit: float | None) -> dict[str, Any]:
    return {
        "rows": [
            {"id": change.id, **asdict(change.ratio), "null_low": change.null.low,
             "null_high": change.null.high, "verdict": change.verdict,
             "differs": change.differs, "failed": limit is not None
             and change.slower_beyond_doubt(limit)}
            for change in found.changes
        ],
        "only_old": found.only_old,
        "only_new": found.only_new,
        "machine": found.machine,
        "packages": found.packages,
    }  # fmt: skip


def _warnings(found: ComparedRecords) -> list[str]:
    """Say it loudly where two machines are compared, and quietly where two versions are."""
    loud = [
        "ANOTHER MACHINE: the ratios below compare machines, not versions of the software.",
        *(f"    {name}: {old} -> {new}" for name, (old, new) in found.machine.items()),
    ]
    quiet = [f"{name}: {old} -> {new}" for name, (old, new) in found.packages.items()]
    return [*(loud if found.machine else []), *quiet]


def _aside(found: ComparedRecords, old: Path, new: Path) -> list[str]:
    """Return what the table does not say."""
    return [
        *(f"{c.id}: another {', '.join(c.differs)}" for c in found.changes if c.differs),
        *(f"Only in {old}: {name}" for name in found.only_old),
        *(f"Only in {new}: {name}" for name in found.only_new),
    ]


def _failure(found: ComparedRecords, limit: float) -> CheckFailed | None:
    slow = [change for change in found.changes if change.slower_beyond_doubt(limit)]
    if not slow:
        return None
    worst = max(slow, key=lambda change: change.ratio.ratio)
    return CheckFailed(
        f"{len(slow)} of {len(found.changes)} rows are slower beyond doubt",
        got=f"{worst.id} at {worst.ratio.ratio:.3f} ({worst.ratio.low:.3f} to "
        f"{worst.ratio.high:.3f}) of its old median",
        expected=f"at most {1 + limit:.3g}",
    )
