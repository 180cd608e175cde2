"""Fresh processes that a benchmark starts, waits for, and reads the result of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ChildResult", "last_line", "run_child"]

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True, slots=True)
class ChildResult:
    """What a child found.

    Attributes:
        found: the JSON it wrote into `result.json`, also where it failed later; else empty.
        failure: the "reason" in that JSON, else its last line, or that it was stopped; None where
            all went well.
    """

    found: dict[str, Any]
    failure: str | None


def run_child(
    module: str, arguments: tuple[str, ...], folder: Path, timeout_s: float
) -> ChildResult:
    """Run `python -m module arguments --out folder`; its `result.json` says what it found.

    A child that fails, crashes, writes no JSON or takes longer than
    `timeout_s` is a result, not an error.
    """
    command = [sys.executable, "-m", module, *arguments, "--out", str(folder)]
    log = folder / "log.txt"
    try:
        with log.open("wb") as output:
            status = subprocess.run(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                env=os.environ | _QUIET,
            ).returncode
    except subprocess.TimeoutExpired:
        return ChildResult(_found(folder), f"stopped after {timeout_s:g} s")
    found = _found(folder)
    if status < 0:
        return ChildResult(found, f"killed by signal {-status}")
    if status or not found:
        return ChildResult(found, found.pop("reason", None) or last_line(log))
    return ChildResult(found, None)


def _found(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def last_line(log: Path) -> str:
    """Return a log's last words."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"
