"""Time the cells of one case: open each, hold its answer to the reference, let them take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from unetrt.errors import ParityError

from ..measuring.agreement import Agreement, Answering, Reference
from ..roofline.roofline import Roofline
from .case_agreement import Judge
from .cell_roofline import network_entry, network_key
from .cells import CHANNELS, Cell
from .matrix import Found

__all__ = ["Note", "OpenWay", "Opened", "Timing", "Way", "row_of", "time_case"]


class Way(Protocol):
    """One way to run one network, opened on the case's input."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Of its rows: device, computes_in, peer, configuration, artifact, input."""

    @property
    def limit(self) -> Roofline | None:
        """Its network under this machine's ceilings; None where that is not known."""

    def candidate(self, cell: Cell) -> Answering:
        """Return what is timed of a cell; the way closes it.

        Raises:
            UnsupportedModel: this way has no such scope.
        """

    def close(self) -> None:
        """Give back what it holds."""


OpenWay = Callable[[Cell], Way]

Note = Callable[[str, Found], None]
"""Told before anything that may crash: at which cell it is, and what was found so far."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A cell that opened and agrees with the reference.

    Attributes:
        again: the same, opened a second time: what a row is against itself. None of most.
        limit: the least time of its network; None where that is not known.
    """

    cell: Cell
    facts: Mapping[str, Any]
    agreement: Agreement
    candidate: Answering
    again: Answering | None = None
    limit: Roofline | None = None


Timing = Callable[[Mapping[str, Opened]], Found]
"""Lets candidates take turns; gives what the record holds of their runs, rows by `row_of`."""


def time_case(cells: Sequence[Cell], open_way: OpenWay, timing: Timing, note: Note) -> Found:
    """Time cells of one network, size and batch, those of a scope in turns with each other.

    The first that opens is the reference of all answers; what disagrees is not timed. `note` is
    told the id of the cell that is being opened, and "" before they take turns.
    """
    found = Found()
    with ExitStack() as stack:
        opened = list(_open_all(cells, open_way, note, found, stack))
        for one in opened:
            if one.limit is not None and one.cell.batch == 1:
                found.networks.setdefault(network_key(one.cell), network_entry(one.cell, one.limit))
        for scope in dict.fromkeys(cell.scope for cell in cells):
            sharing = {one.cell.id: one for one in opened if one.cell.scope == scope}
            if sharing:
                note("", found)
                timed = timing(sharing)
                found.rows.extend(timed.rows)
                found.comparisons.extend(timed.comparisons)
                found.failures.extend(timed.failures)
    return found


def _open_all(
    cells: Sequence[Cell],
    open_way: OpenWay,
    note: Note,
    found: Found,
    stack: ExitStack,
) -> Iterator[Opened]:
    judge = Judge()
    doubled: dict[str, set[str]] = {cell.scope: set() for cell in cells}
    for _, group in groupby(cells, key=lambda cell: (cell.precision, cell.backend)):
        scopes = tuple(group)
        note(scopes[0].id, found)
        try:
            way = open_way(scopes[0])
        except Exception as error:  # noqa: BLE001  (a library's own: a failure of these alone)
            found.failures.extend({"id": cell.id, "reason": _reason(error)} for cell in scopes)
            continue
        stack.callback(way.close)
        core: Reference | None = None
        for cell in scopes:
            try:
                candidate = way.candidate(cell)
                agreement, own = judge.check(candidate, cell.scope, core)
            except ParityError as error:  # then what follows of it cannot be trusted either
                rest = scopes[scopes.index(cell) :]
                found.failures.extend({"id": one.id, "reason": _reason(error)} for one in rest)
                break
            except Exception as error:  # noqa: BLE001  (likewise)
                found.failures.append({"id": cell.id, "reason": _reason(error)})
                continue
            core = own if cell.scope == "core" else core
            again = None
            if not cell.peer and cell.backend not in doubled[cell.scope]:
                doubled[cell.scope].add(cell.backend)
                again = _second(cell, open_way, stack)
            yield Opened(cell, way.facts, agreement, candidate, again, way.limit)


def _second(cell: Cell, open_way: OpenWay, stack: ExitStack) -> Answering | None:
    """Open a cell once more; where there is no room for two, it goes without an A/A run."""
    try:
        way = open_way(cell)
        stack.callback(way.close)
        return way.candidate(cell)
    except Exception:  # noqa: BLE001  (a library's own; the comparison says that there was none)
        return None


def row_of(one: Opened, timed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the record: what was opened, and `timed`, what was measured of it."""
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
        "parity": one.agreement.to_json(),
        "rebuild": 0,
        "roofline": _share(one, timed["latency_ms"]["p50"]),
        **one.facts,
        **timed,
    }


def _share(one: Opened, median_ms: float) -> dict[str, float] | None:
    """Return how near the core comes to its network's least time."""
    if one.limit is None or one.limit.attainable_ns is None or one.cell.scope != "core":
        return None
    least_ns = one.limit.attainable_ns
    return {"attainable_ns": least_ns, "share": least_ns / (1e6 * median_ms)}


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split())[:400]
    return words or type(error).__name__
