"""Fresh processes that a benchmark starts, waits for, and reads the result of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetrt.errors import CheckFailed

__all__ = ["QUIET", "ChildResult", "last_line", "run_child", "run_job"]

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
"""What a child's environment has besides ours."""


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


def run_job(
    job: str,
    arguments: tuple[str, ...],
    *,
    timeout_s: float,
    folder: Path | None = None,
    python: Path | None = None,
) -> dict[str, Any]:
    """Run one of `unetrt.benchmarks.jobs`, and return what it found.

    Args:
        job: its name in there.
        arguments: of its command line, but for `--out`.
        timeout_s: after which it is stopped.
        folder: that it writes into; one that is removed afterwards, if None.
        python: the interpreter, where it is not our own.

    Raises:
        CheckFailed: it failed; holds its words.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        done = run_child(f"unetrt.benchmarks.jobs.{job}", arguments, place, timeout_s, python)
    if done.failure is not None:
        raise CheckFailed(f"The job {' '.join((job, *arguments))} failed", got=done.failure)
    return done.found


def run_child(
    module: str,
    arguments: tuple[str, ...],
    folder: Path,
    timeout_s: float,
    python: Path | None = None,
) -> ChildResult:
    """Run `python -m module arguments --out folder`; its `result.json` says what it found.

    A child that fails, crashes, writes no JSON or takes longer than
    `timeout_s` is a result, not an error.
    """
    command = [str(python or sys.executable), "-m", module, *arguments, "--out", str(folder)]
    log = folder / "log.txt"
    try:
        with log.open("wb") as output:
            status = subprocess.run(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                env=os.environ | QUIET,
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
