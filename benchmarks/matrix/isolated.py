"""A case in a process of its own, so that a crash costs one cell and not the matrix."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..children import ChildResult, run_child
from .cells import Case, Cell
from .matrix import Found

__all__ = ["Isolated"]

_JOB = "unetrt.benchmarks.jobs.case"
_SPARE_S = 20
"""Seconds that a child may take beyond its time to write down what it has."""


class Isolated:
    """Times cases in children; what files they share lies in `work`.

    A child says in its result which cell it is at ("at"), or that it times several in turns ("").
    Where one dies, the cell it was at is the failure and the others are tried again without it;
    where it died during the turns, each is timed alone, and so not compared.
    """

    def __init__(
        self, work: Path, arguments: Sequence[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._work = work
        self._arguments = tuple(arguments)
        self._clock = clock

    def __call__(self, case: Case, share: float, left: float) -> Found:
        """Time the case's cells; see `TimeCase`."""
        ends = self._clock() + left
        found = Found()
        groups: list[tuple[Cell, ...]] = [case.cells]
        while groups and (left := ends - self._clock()) > 0:
            cells = groups.pop(0)
            done = self._child(cells, share, left)
            found.rows.extend(done.found.get("rows", []))
            found.comparisons.extend(done.found.get("comparisons", []))
            found.networks.update(done.found.get("networks", {}))
            found.failures.extend(done.found.get("failures", []))
            if done.failure is not None and self._clock() < ends:
                groups = _again(cells, found, done) + groups
        return found

    def _child(self, cells: Sequence[Cell], share: float, left: float) -> ChildResult:
        asked = json.dumps([asdict(cell) for cell in cells])
        words = (
            "--cells",
            asked,
            "--seconds",
            f"{min(share, left):.0f}",
            "--work",
            str(self._work),
        )
        with tempfile.TemporaryDirectory() as folder:
            return run_child(_JOB, (*words, *self._arguments), Path(folder), left + _SPARE_S)


def _again(cells: Sequence[Cell], found: Found, done: ChildResult) -> list[tuple[Cell, ...]]:
    """Note the cell at fault, and return what is to be tried again, at least one cell fewer."""
    settled = {entry["id"] for entry in (*found.rows, *found.failures)}
    left = tuple(cell for cell in cells if cell.id not in settled)
    culprit = done.found.get("at") or (left[0].id if len(left) == 1 else "")
    if not culprit and len(left) > 1:
        return [(cell,) for cell in left]
    if culprit and culprit not in settled:
        found.failures.append({"id": culprit, "reason": done.failure or "it said nothing"})
    rest = tuple(cell for cell in left if cell.id != culprit)
    return [rest] if rest else []
