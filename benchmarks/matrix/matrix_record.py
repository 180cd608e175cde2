"""The matrix's record: begun, or taken up where an earlier run of this machine left it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unetrt.errors import BadInput

from ..environment import describe_machine
from ..record import Record, read_record, write_record
from ..roofline.ceilings import ceilings_of
from .cells import Case
from .present import GPU_BACKENDS

__all__ = ["TITLE", "begin_record", "keep_record", "measured_ceilings"]

TITLE = "U-Net latency"
_CEILINGS = ("flops_per_s", "bytes_per_s", "how", "device")
_SAME = ("cpu", "cores", "gpu", "python", "packages", "git")
"""What must not have changed where an earlier record is taken up; of a GPU, its name."""


def begin_record(path: Path, command: str, machine: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the record at `path`, or a new one without rows, as JSON.

    Raises:
        BadInput: it is damaged, of another version, machine or code.
    """
    machine = machine or describe_machine()
    if not path.exists():
        made = datetime.now(UTC).isoformat(timespec="seconds")
        return Record(title=TITLE, made=made, command=command, machine=machine, rows=()).to_json()
    record = read_record(path).to_json()
    for name in _SAME:
        before, now = _plain(record["machine"].get(name)), _plain(machine.get(name))
        if before != now:
            raise BadInput(
                f"{path} cannot go on here: its rows belong to another {name}",
                got=now,
                expected=before,
                hint="give another folder with --out",
            )
    return record


def measured_ceilings(cases: Iterable[Case]) -> tuple[dict[str, Any] | None, str]:
    """Return the ceilings of what the cases run on, a GPU where there is one, and what to say.

    They are measured before anything else runs, and kept for the cases' own processes.
    """
    on_gpu = any(cell.backend in GPU_BACKENDS for case in cases for cell in case.cells)
    found, said = ceilings_of("gpu" if on_gpu else "cpu")
    return None if found is None else {name: found.to_json()[name] for name in _CEILINGS}, said


def keep_record(record: dict[str, Any], path: Path) -> None:
    """Write the record, whole or not at all.

    Raises:
        OutputError: `path` cannot be written.
    """
    write_record(Record.from_json(record), path)


def _plain(fact: Any) -> Any:
    """Return a GPU's name for what else is said of it: clocks and temperatures change."""
    return fact["name"] if isinstance(fact, dict) and "name" in fact else fact
