"""Time the cells of one case: open each, check it against the reference, let them take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel
from unetrt.errors import ParityError

from ..agreement import Agreement, PredictingCandidate, Reference, check_prediction
from ..compare import compare_rows
from ..inputs import TimedInput
from ..measure import MeasureSpec, time_in_rounds
from ..modes import Serialised
from ..record import Comparison, Failure, Row
from ..roofline.ceilings import Ceilings
from ..roofline.graph_cost import graph_cost
from ..roofline.roofline import Roofline, roofline
from ..rows import Facts, row_of
from ..statistics import Samples, summarize
from .cells import CHANNELS, Cell
from .matrix import NO_TIME, Found

__all__ = [
    "CaseTimer",
    "Judge",
    "Opened",
    "Way",
    "row_roofline",
    "samples_within",
    "time_case",
]

_FLAT = 1e-3
"""An answer that is the same everywhere would agree with anything."""

_QUANTISED_SPREAD = 0.1
"""How far an int8 answer may spread about the reference's, by standard deviations of the latter.

Skeletons have random weights: their labels are near ties, of which eight bits tip a few in a
hundred and a wrong network half, so that labels tell little. Measured with ONNX Runtime: 0.04 (the
article's network, 256 x 256) and 0.06 (the paper's). An answer of another network would be at 1.4,
a flat one at 1."""

_PROBABILITIES = 4


class Judge:
    """The first answer of a scope is what the others of that scope are held to."""

    def __init__(self) -> None:
        self._references: dict[str, Reference] = {}

    def check(
        self, candidate: PredictingCandidate, scope: str, core: Reference | None
    ) -> tuple[Agreement, Reference]:
        """Return how far a candidate is from its reference, and its own answer.

        `core` is what the core of the same session answered, once it was found right: labels from
        end to end are to be the very same.

        Raises:
            ParityError: farther than its precision allows, or of another shape.
        """
        answer = np.asarray(candidate.predict())
        own = Reference(candidate.name, answer)
        if core is not None and core.prediction.shape[:3] == answer.shape[:3]:
            return check_prediction(answer, core, name=own.name, precision="fp32"), own
        if scope not in self._references:
            _telling(answer)
            self._references[scope] = own
        reference = self._references[scope]
        if candidate.precision == "int8" and answer.ndim == _PROBABILITIES:
            return _quantised(candidate.name, answer, reference), own
        held_to = candidate.precision
        return check_prediction(answer, reference, name=own.name, precision=held_to), own


def _telling(answer: NDArray[Any]) -> None:
    spread = float(np.ptp(answer))
    if not spread > _FLAT:
        raise ParityError("The reference's answer says nothing", got=f"values within {spread:.1g}")


def _quantised(name: str, answer: NDArray[Any], reference: Reference) -> Agreement:
    expected = reference.prediction
    if expected.shape != answer.shape:
        raise ParityError(f"{name} gives another shape", got=answer.shape, expected=expected.shape)
    apart = answer.astype(np.float32) - expected
    spread = float(apart.std() / expected.std())
    if not spread <= _QUANTISED_SPREAD:  # NaN fails too
        raise ParityError(
            f"{name} disagrees with {reference.name} and is not timed",
            got=f"differences that spread by {spread:.2g} of the answer's own spread",
            expected=f"at most {_QUANTISED_SPREAD:g} in int8",
        )
    labels = float(np.mean(answer.argmax(axis=-1) != expected.argmax(axis=-1)))
    return Agreement(reference.name, float(np.abs(apart).max()), labels)


_NETWORK = ("batch", "height", "width", "precision", "flops", "bytes", "attainable_ns")
_LAYER = ("name", "block", "op", "flops", "bytes", "attainable_ns")


def network_key(cell: Cell) -> str:
    """Return the key of a cell's network in the record."""
    return f"{cell.network}/{cell.precision}/{cell.batch}x{cell.side}x{cell.side}"


def row_roofline(
    model: OnnxModel, cell: Cell, computes_in: str, ceilings: Ceilings
) -> Roofline | None:
    """Hold a cell's network against the ceilings, in the type that most of the row computes in.

    None where the machine's peak in that type was not measured.
    """
    cost = graph_cost(model, batch=cell.batch, height=cell.side, width=cell.side)
    types = {layer.computes_in for layer in cost.layers}
    limit = roofline(cost, ceilings, dict.fromkeys(types, computes_in.partition(",")[0]))
    return None if limit.attainable_ns is None else limit


def network_entry(cell: Cell, limit: Roofline) -> dict[str, Any]:
    """Return the network's entry of the record."""
    found = limit.to_json()
    return {
        **{name: found[name] for name in _NETWORK},
        "precision": cell.precision,
        "channels": CHANNELS,
        "layers": [{name: layer[name] for name in _LAYER} for layer in found["layers"]],
    }


class Way(Protocol):
    """One way to run one network, opened on the case's input."""

    @property
    def facts(self) -> Facts:
        """Describe its rows."""

    @property
    def limit(self) -> Roofline | None:
        """Its network under this machine's ceilings; None where that is not known."""

    def candidate(self, cell: Cell) -> PredictingCandidate:
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
    facts: Facts
    agreement: Agreement
    candidate: PredictingCandidate
    again: PredictingCandidate | None = None
    limit: Roofline | None = None


Timing = Callable[[Mapping[str, Opened]], Found]
"""Lets candidates take turns; gives the rows and comparisons of their runs."""


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
            found.failures.extend(Failure(cell.id, _reason(error)) for cell in scopes)
            continue
        stack.callback(way.close)
        core: Reference | None = None
        for cell in scopes:
            try:
                candidate = way.candidate(cell)
                agreement, own = judge.check(candidate, cell.scope, core)
            except ParityError as error:  # then what follows of it cannot be trusted either
                rest = scopes[scopes.index(cell) :]
                found.failures.extend(Failure(one.id, _reason(error)) for one in rest)
                break
            except Exception as error:  # noqa: BLE001  (likewise)
                found.failures.append(Failure(cell.id, _reason(error)))
                continue
            core = own if cell.scope == "core" else core
            again = None
            if not cell.peer and cell.backend not in doubled[cell.scope]:
                doubled[cell.scope].add(cell.backend)
                again = _second(cell, open_way, stack)
            yield Opened(cell, way.facts, agreement, candidate, again, way.limit)


def _second(cell: Cell, open_way: OpenWay, stack: ExitStack) -> PredictingCandidate | None:
    """Open a cell once more; where there is no room for two, it goes without an A/A run."""
    try:
        way = open_way(cell)
        stack.callback(way.close)
        return way.candidate(cell)
    except Exception:  # noqa: BLE001  (a library's own; the comparison says that there was none)
        return None


def _roofline(one: Opened, samples: Samples) -> dict[str, float] | None:
    """Return how near the core comes to its network's least time."""
    if one.limit is None or one.limit.attainable_ns is None or one.cell.scope != "core":
        return None
    least_ns = one.limit.attainable_ns
    return {"attainable_ns": least_ns, "share": least_ns / (1e6 * summarize(samples).p50_ms)}


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split())[:400]
    return words or type(error).__name__


_FEWEST = 20
"""Samples of a row: fewer tell no median."""
_ASIDE = 1.25
"""Runs for each that is timed: warm-up, and one before each turn."""


class CaseTimer:
    """Times the scopes of a case one after another, `scopes` of them in about `seconds`."""

    def __init__(
        self,
        timed_input: TimedInput,
        *,
        samples: int,
        seconds: float,
        scopes: int,
        on_run: Callable[[str], None] = lambda _line: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._input = timed_input
        self._samples, self._seconds, self._scopes = samples, seconds, scopes
        self._on_run, self._clock = on_run, clock

    def __call__(self, sharing: Mapping[str, Opened]) -> Found:
        """Let all take turns, those that were opened twice beside themselves."""
        arms: dict[str, PredictingCandidate] = {
            name: one.candidate for name, one in sharing.items()
        }
        arms |= {_again(name): one.again for name, one in sharing.items() if one.again is not None}
        share = self._seconds / self._scopes
        began = self._clock()
        count = samples_within(share, arms.values(), self._samples)
        self._scopes -= 1
        if not count:
            return Found(failures=[Failure(name, NO_TIME) for name in sharing])
        taken = time_in_rounds(arms, MeasureSpec(samples=count), on_run=self._on_run)
        self._seconds -= self._clock() - began
        rows = {
            name: row_of(
                replace(taken[name], agreement=one.agreement),
                one.facts,
                self._input,
                scope=one.cell.scope,
                mode=Serialised(),
                roofline=_roofline(one, taken[name]),
            )
            for name, one in sharing.items()
        }
        return Found(rows=list(rows.values()), comparisons=list(_comparisons(rows, taken)))


def samples_within(
    seconds: float, candidates: Sequence[PredictingCandidate] | Any, most: int
) -> int:
    """Return how many runs of each fit, at most `most`; 0 where even the fewest do not.

    Each runs twice for that, and the second counts: the first may load or compile.
    """
    round_s = 0.0
    for candidate in candidates:
        candidate.time_runs(1)
        round_s += sum(candidate.time_runs(1).host_ns) / 1e9
    fit = int(seconds / (_ASIDE * max(round_s, 1e-9)))
    return 0 if fit < min(_FEWEST, most) else min(most, fit)


def _comparisons(rows: Mapping[str, Row], taken: Mapping[str, Samples]) -> Iterator[Comparison]:
    """Compare, on each library, every precision with the first; and with it each other library."""
    first: dict[str, str] = {}
    for name, row in rows.items():
        first.setdefault(row.backend, name)
    pairs = [(first[row.backend], name) for name, row in rows.items()]
    pairs += [(next(iter(rows)), name) for name in first.values()]
    for a, b in pairs:
        if a != b:
            again = taken.get(_again(a))
            yield compare_rows(rows[a], rows[b], None if again is None else again.rounds_ns)


def _again(name: str) -> str:
    return f"{name} again"
