"""The matrix's record: begun, or taken up where an earlier run of this machine left it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unetrt.errors import BadInput

from .environment import describe_machine
from .record import Record, read_record, write_record

__all__ = ["TITLE", "begin_record", "keep_record"]

TITLE = "U-Net latency"
_SAME = ("cpu", "cores", "gpu", "python", "packages", "git")
"""What must not have changed where an earlier record is taken up."""


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
        before, now = record["machine"].get(name), machine.get(name)
        if before != now:
            raise BadInput(
                f"{path} cannot go on here: its rows belong to another {name}",
                got=now,
                expected=before,
                hint="give another folder with --out",
            )
    return record


def keep_record(record: dict[str, Any], path: Path) -> None:
    """Write the record, whole or not at all.

    Raises:
        OutputError: `path` cannot be written.
    """
    write_record(Record.from_json(record), path)
