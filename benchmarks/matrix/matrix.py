"""Run the matrix: a case at a time, each in a process of its own, nothing measured twice."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from unetrt.errors import BadInput, MissingDependency
from unetrt.files import output_folder
from unetrt.progress import Progress

from ..machine import describe_machine
from ..processes import ChildResult, run_child
from ..record import Comparison, Failure, Record, Row, read_record, write_record
from ..report import write_report
from ..roofline.ceilings import ceilings_of
from .matrix_spec import GPU_BACKENDS, Case, MatrixSpec, RowSpec, cases_of

__all__ = [
    "NO_TIME",
    "RECORD",
    "CaseResult",
    "ChildTimer",
    "begin_record",
    "bench_matrix",
    "measured_ceilings",
    "run_matrix",
]

RECORD = "record.json"
"""The name of the record in its folder."""

NO_TIME = "no time"
"""The reason of rows that `minutes` left out; a later run takes them up."""


def bench_matrix(
    spec: MatrixSpec,
    out: Path,
    *,
    minutes: float,
    samples: int,
    progress: Progress,
    command: str = "bench_matrix",
) -> Record:
    """Time the matrix, each case in a process of its own, and write record and report.

    The record is written after every case; an earlier run in the folder is resumed.

    Args:
        spec: networks, sizes, batches, precisions, libraries.
        out: folder for record.json, report.html and report.md.
        minutes: for all of it.
        samples: timed runs of each row.
        progress: is told of every case.
        command: what the record says it was made by.

    Raises:
        BadInput: the record in the folder is damaged, or of another version, machine or code.
        OutputError: the folder cannot be written.
    """
    cases = cases_of(spec)
    path = output_folder(out) / RECORD
    record = begin_record(path, command)
    if record.ceilings is None:
        ceilings, said = measured_ceilings(cases)
        record = replace(record, ceilings=ceilings)
        progress.say(said)
    with tempfile.TemporaryDirectory(prefix="unetrt-matrix-") as work:
        record = run_matrix(
            cases,
            record,
            ChildTimer(Path(work), ("--samples", str(samples))),
            minutes=minutes,
            keep=lambda grown: write_record(grown, path),
            say=progress.say,
        )
    try:
        write_report(record, out)
    except MissingDependency as error:
        progress.say(f"{error} The record is whole; make the page of it elsewhere.")
    return record


@dataclass(frozen=True, slots=True)
class CaseResult:
    """Collect the rows of a case, their comparisons and networks, and why others have no row."""

    rows: list[Row] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    networks: dict[str, Any] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """Return the ids of the rows and the failures."""
        return {row.id for row in self.rows} | {failure.id for failure in self.failures}

    def add(self, other: CaseResult) -> None:
        """Add the result of other rows."""
        self.rows.extend(other.rows)
        self.comparisons.extend(other.comparisons)
        self.networks.update(other.networks)
        self.failures.extend(other.failures)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "rows": [row.to_json() for row in self.rows],
            "comparisons": [one.to_json() for one in self.comparisons],
            "networks": self.networks,
            "failures": [asdict(one) for one in self.failures],
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the result that `to_json` stored; lists that are not there are empty."""
        return cls(
            rows=[Row.from_json(row) for row in stored.get("rows", [])],
            comparisons=[Comparison.from_json(one) for one in stored.get("comparisons", [])],
            networks=stored.get("networks", {}),
            failures=[Failure(**one) for one in stored.get("failures", [])],
        )


TimeCase = Callable[[Case, float, float], CaseResult]
"""Times a case in about so many seconds, once it is open, and in no more than so many in all. A row
that fails is a failure, not an error."""

_GENEROUS = 2
"""A case may take so many times its even share of what is left: the first are the most telling."""


def run_matrix(
    cases: Sequence[Case],
    record: Record,
    time_case: TimeCase,
    *,
    minutes: float,
    keep: Callable[[Record], None],
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Record:
    """Time every case that the record does not have, in order, until the minutes are over.

    `keep` is given the record after every case; what it had stays in it. Rows that an earlier run
    had no time for are tried again, those that failed are not.
    """
    ends = clock() + 60 * minutes
    settled = tuple(failure for failure in record.failures if failure.reason != NO_TIME)
    record = replace(record, failures=settled)
    for number, case in enumerate(cases, 1):
        pending = _pending(case, record)
        if not pending.rows:
            say(f"{number}/{len(cases)} {case.title}: done before")
            continue
        left = ends - clock()
        share = left * min(1.0, _GENEROUS / (len(cases) - number + 1))
        found = time_case(pending, share, left) if left > 0 else CaseResult()
        record = _grown(record, pending, found)
        keep(record)
        missing = len(pending.rows) - len(found.rows)
        say(
            f"{number}/{len(cases)} {case.title}: {len(found.rows)} timed, {missing} not"
            if left > 0
            else f"{number}/{len(cases)} {case.title}: {NO_TIME}"
        )
    return record


def _pending(case: Case, record: Record) -> Case:
    known = {row.id for row in record.rows} | {failure.id for failure in record.failures}
    specs = tuple(spec for spec in case.rows if spec.id not in known)
    return Case(case.network, case.side, case.batch, specs)


def _grown(record: Record, case: Case, found: CaseResult) -> Record:
    """Return the record with the result of a case; rows that it says nothing of had no time."""
    late = (Failure(spec.id, NO_TIME) for spec in case.rows if spec.id not in found.ids)
    return replace(
        record,
        rows=(*record.rows, *found.rows),
        comparisons=(*record.comparisons, *found.comparisons),
        networks=record.networks | found.networks,
        failures=(*record.failures, *found.failures, *late),
    )


TITLE = "U-Net latency"
_CEILINGS = ("flops_per_s", "bytes_per_s", "how", "device")
_SAME = ("cpu", "cores", "gpu", "python", "packages", "git")
"""Facts that must not have changed where an earlier record is resumed; of a GPU, its name."""


def begin_record(path: Path, command: str, machine: dict[str, Any] | None = None) -> Record:
    """Return the record at `path`, or a new one without rows.

    Raises:
        BadInput: it is damaged, of another version, machine or code.
    """
    machine = machine or describe_machine()
    if not path.exists():
        made = datetime.now(UTC).isoformat(timespec="seconds")
        return Record(title=TITLE, made=made, command=command, machine=machine, rows=())
    record = read_record(path)
    for name in _SAME:
        before, now = _plain(record.machine.get(name)), _plain(machine.get(name))
        if before != now:
            raise BadInput(
                f"{path} cannot be resumed here: its rows belong to another {name}",
                got=now,
                expected=before,
                hint="give another folder",
            )
    return record


def measured_ceilings(cases: Iterable[Case]) -> tuple[dict[str, Any] | None, str]:
    """Return the ceilings of what the cases run on, a GPU where there is one, and what to say.

    They are measured before anything else runs, and kept for the cases' own processes.
    """
    on_gpu = any(spec.backend in GPU_BACKENDS for case in cases for spec in case.rows)
    found, said = ceilings_of("gpu" if on_gpu else "cpu")
    return None if found is None else {name: found.to_json()[name] for name in _CEILINGS}, said


def _plain(fact: Any) -> Any:
    """Return a GPU's name for what else is said of it: clocks and temperatures change."""
    return fact["name"] if isinstance(fact, dict) and "name" in fact else fact


_JOB = "unetrt.benchmarks.matrix.child"
_SPARE_S = 20
"""Seconds that a child may take beyond its time to write down what it has."""


class ChildTimer:
    """Time cases in children; files that they share lie in `work`.

    A child writes into its result which row it opens ("at"), or "" when it times several. Where one
    dies, the row it was opening is the failure and the others are tried again without it; where it
    died while it timed several, each is timed alone, and so not compared.
    """

    def __init__(
        self, work: Path, arguments: Sequence[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._work = work
        self._arguments = tuple(arguments)
        self._clock = clock

    def __call__(self, case: Case, share: float, left: float) -> CaseResult:
        """Time the case; see `TimeCase`."""
        ends = self._clock() + left
        found = CaseResult()
        groups: list[tuple[RowSpec, ...]] = [case.rows]
        while groups and (left := ends - self._clock()) > 0:
            specs = groups.pop(0)
            done = self._child(specs, share, left)
            found.add(CaseResult.from_json(done.found))
            if done.failure is not None and self._clock() < ends:
                groups = _again(specs, found, done) + groups
        return found

    def _child(self, specs: Sequence[RowSpec], share: float, left: float) -> ChildResult:
        asked = json.dumps([asdict(spec) for spec in specs])
        words = (
            "--rows",
            asked,
            "--seconds",
            f"{min(share, left):.0f}",
            "--work",
            str(self._work),
        )
        with tempfile.TemporaryDirectory() as folder:
            return run_child(_JOB, (*words, *self._arguments), Path(folder), left + _SPARE_S)


def _again(
    specs: Sequence[RowSpec], found: CaseResult, done: ChildResult
) -> list[tuple[RowSpec, ...]]:
    """Note the row at fault, and return what is to be tried again, at least one row fewer."""
    settled = found.ids
    left = tuple(spec for spec in specs if spec.id not in settled)
    culprit = done.found.get("at") or (left[0].id if len(left) == 1 else "")
    if not culprit and len(left) > 1:
        return [(spec,) for spec in left]
    if culprit and culprit not in settled:
        found.failures.append(Failure(culprit, done.failure or "it said nothing"))
    rest = tuple(spec for spec in left if spec.id != culprit)
    return [rest] if rest else []
