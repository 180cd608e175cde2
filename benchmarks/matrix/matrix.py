"""Run the matrix: a case at a time, the record written after each, nothing measured twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .cells import Case

__all__ = ["NO_TIME", "Found", "TimeCase", "run_matrix"]

NO_TIME = "no time"
"""The reason of cells that `--minutes` left out; a later run takes them up."""


@dataclass(frozen=True, slots=True)
class Found:
    """What timing a case gave, each as the record has it."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    networks: dict[str, Any] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)


TimeCase = Callable[[Case, float, float], Found]
"""Times a case's cells: in about so many seconds, once they are open, and in no more than so many
in all. A cell that fails is a failure, not an error."""

_GENEROUS = 2
"""A case may take so many times its even share of what is left: the first are the most telling."""


def run_matrix(
    cases: Sequence[Case],
    record: dict[str, Any],
    time_case: TimeCase,
    *,
    minutes: float,
    keep: Callable[[dict[str, Any]], None],
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Time every case that the record does not have, in order, until the minutes are over.

    `keep` is given the record after every case; what it had stays in it. Cells that an earlier run
    had no time for are tried again, those that failed are not.
    """
    ends = clock() + 60 * minutes
    late = [failure for failure in record["failures"] if failure["reason"] == NO_TIME]
    record["failures"] = [failure for failure in record["failures"] if failure not in late]
    for number, case in enumerate(cases, 1):
        pending = _pending(case, record)
        if not pending.cells:
            say(f"{number}/{len(cases)} {case.title}: done before")
            continue
        left = ends - clock()
        share = left * min(1.0, _GENEROUS / (len(cases) - number + 1))
        found = time_case(pending, share, left) if left > 0 else Found()
        _add(record, pending, found)
        keep(record)
        missing = len(pending.cells) - len(found.rows)
        say(
            f"{number}/{len(cases)} {case.title}: {len(found.rows)} timed, {missing} not"
            if left > 0
            else f"{number}/{len(cases)} {case.title}: {NO_TIME}"
        )
    return record


def _pending(case: Case, record: dict[str, Any]) -> Case:
    known = {entry["id"] for kind in ("rows", "failures") for entry in record[kind]}
    cells = tuple(cell for cell in case.cells if cell.id not in known)
    return Case(case.network, case.side, case.batch, cells)


def _add(record: dict[str, Any], case: Case, found: Found) -> None:
    record["rows"] += found.rows
    record["comparisons"] += found.comparisons
    record["networks"] |= found.networks
    record["failures"] += found.failures
    settled = {entry["id"] for kind in ("rows", "failures") for entry in record[kind]}
    record["failures"] += [
        {"id": cell.id, "reason": NO_TIME} for cell in case.cells if cell.id not in settled
    ]
