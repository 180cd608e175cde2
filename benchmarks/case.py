"""Time the cells of one case: open each, hold its answer to the reference, let them take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import ParityError
from unetrt.parity import TOLERANCES

from .candidate import Candidate
from .cells import CHANNELS, Cell
from .matrix import Found

__all__ = ["OpenWay", "Timing", "Way", "time_case"]

_FLAT = 1e-3
"""An answer that is the same everywhere would agree with anything."""


class Way(Protocol):
    """One way to run one network, opened on the case's input."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Of its row: device, computes_in, peer, configuration, artifact."""

    def answer(self) -> NDArray[Any]:
        """Run once; the probabilities, [batch, height, width, classes]."""

    def candidate(self, scope: str) -> Candidate:
        """Return what is timed, by scope.

        Raises:
            UnsupportedModel: this way has no such scope.
        """

    def close(self) -> None:
        """Give back what it holds."""


OpenWay = Callable[[Cell], Way]

Timing = Callable[[Mapping[str, Candidate]], Mapping[str, dict[str, Any]]]
"""Lets candidates take turns; of each, by the id of its cell, what the record holds of its runs."""


@dataclass(frozen=True, slots=True)
class _Opened:
    cell: Cell
    facts: Mapping[str, Any]
    parity: dict[str, Any]
    candidate: Candidate


def time_case(
    cells: Sequence[Cell],
    open_way: OpenWay,
    timing: Timing,
    note: Callable[[str], None],
) -> Found:
    """Time cells of one network, size and batch, those of a scope in turns with each other.

    The first that opens is the reference of all answers; a way that disagrees is not timed. `note`
    is told the id of the cell that is being opened, and "" while they take turns.
    """
    found = Found()
    with ExitStack() as stack:
        opened = list(_open_all(cells, open_way, note, found, stack))
        note("")
        for scope in dict.fromkeys(cell.scope for cell in cells):
            sharing = {one.cell.id: one for one in opened if one.cell.scope == scope}
            if not sharing:
                continue
            timed = timing({name: one.candidate for name, one in sharing.items()})
            found.rows.extend(_row(one, timed[name]) for name, one in sharing.items())
    return found


def _open_all(
    cells: Sequence[Cell],
    open_way: OpenWay,
    note: Callable[[str], None],
    found: Found,
    stack: ExitStack,
) -> Iterator[_Opened]:
    reference: tuple[str, NDArray[Any]] | None = None
    for _, group in groupby(cells, key=lambda cell: (cell.precision, cell.backend)):
        scopes = tuple(group)
        note(scopes[0].id)
        try:
            way = open_way(scopes[0])
            stack.callback(way.close)
            answer = way.answer()
            if reference is None:
                reference = (scopes[0].id, _telling(answer))
            parity = _parity(scopes[0], answer, *reference)
        except Exception as error:  # noqa: BLE001  (libraries' own: a failure of this cell alone)
            found.failures.extend({"id": cell.id, "reason": _reason(error)} for cell in scopes)
            continue
        for cell in scopes:
            try:
                yield _Opened(cell, way.facts, parity, way.candidate(cell.scope))
            except Exception as error:  # noqa: BLE001  (likewise)
                found.failures.append({"id": cell.id, "reason": _reason(error)})


def _telling(answer: NDArray[Any]) -> NDArray[Any]:
    spread = float(np.ptp(answer))
    if not spread > _FLAT:
        raise ParityError("The reference's answer says nothing", got=f"values within {spread:.1g}")
    return answer


def _parity(cell: Cell, answer: NDArray[Any], name: str, expected: NDArray[Any]) -> dict[str, Any]:
    """Return how far an answer is from the reference's.

    Raises:
        ParityError: further than its precision excuses, or of another shape.
    """
    if answer.shape != expected.shape:
        raise ParityError(
            f"{cell.id} gives another shape", got=answer.shape, expected=expected.shape
        )
    apart = float(np.abs(answer.astype(np.float32) - expected.astype(np.float32)).max())
    labels = float(np.mean(answer.argmax(axis=-1) != expected.argmax(axis=-1)))
    most = TOLERANCES[cell.precision].max_abs_diff
    if not apart <= most:  # NaN fails too
        raise ParityError(
            f"{cell.id} disagrees with {name} and is not timed",
            got=f"a probability off by {apart:.2g}",
            expected=f"at most {most:g}",
        )
    return {"reference": name, "max_abs_diff": apart, "labels_that_differ": labels}


def _row(one: _Opened, timed: Mapping[str, Any]) -> dict[str, Any]:
    cell = one.cell
    return {
        "id": cell.id,
        "network": cell.network,
        "precision": cell.precision,
        "backend": cell.backend,
        "batch": cell.batch,
        "height": cell.side,
        "width": cell.side,
        "channels": CHANNELS,
        "scope": cell.scope,
        "mode": "serialised",
        "rate_per_s": None,
        "parity": one.parity,
        "rebuild": 0,
        "roofline": None,
        **one.facts,
        **timed,
    }


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split())[:400]
    return words or type(error).__name__
