"""What the project promises, what was measured, and what to tell of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unetrt.files import write_text

from .machine import describe_machine

__all__ = ["Verdict", "report"]

_MARKS = {True: "ok", False: "MISSED", None: "-"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """A promise, what was measured, and whether it is kept.

    Attributes:
        kept: None where nothing is promised, or where it cannot be measured here.
    """

    promise: str
    measured: str
    kept: bool | None


def report(verdicts: Sequence[Verdict], measured: dict[str, Any], out: Path) -> int:
    """Print each verdict, write them with the machine and the raw results as JSON to `out`.

    Returns the exit status: 1 where a promise is missed.

    Raises:
        OutputError: `out` cannot be written.
    """
    for verdict in verdicts:
        sys.stdout.write(f"{_MARKS[verdict.kept]:6} {verdict.promise}: {verdict.measured}\n")
    text = {
        "machine": describe_machine(),
        "verdicts": [asdict(verdict) for verdict in verdicts],
        **measured,
    }
    write_text(out, json.dumps(text, indent=1) + "\n")
    return int(any(verdict.kept is False for verdict in verdicts))
