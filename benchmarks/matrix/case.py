"""Time one case: open each of its rows, check it against the reference, time those of a scope."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel
from unetrt.errors import ParityError
from unetrt.precision import Precision

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
from .matrix import NO_TIME, CaseResult
from .matrix_spec import CHANNELS, RowSpec

__all__ = [
    "CaseTimer",
    "CheckedRow",
    "OpenedNetwork",
    "ParityGate",
    "row_roofline",
    "samples_within",
    "time_case",
]

_FLAT = 1e-3
"""A prediction that is the same everywhere would agree with anything."""

_QUANTISED_SPREAD = 0.1
"""The most that an int8 prediction may spread about the reference's, in the latter's deviations.

Skeletons have random weights: their labels are near ties, of which eight bits tip a few in a
hundred and a wrong network half, so that labels tell little. Measured with ONNX Runtime: 0.04 (the
article's network, 256 x 256) and 0.06 (the paper's). A prediction of another network would be at
1.4, a flat one at 1."""

_PROBABILITIES = 4


class ParityGate:
    """Compare all predictions of a scope with the first of that scope."""

    def __init__(self) -> None:
        self._references: dict[str, Reference] = {}

    def check(
        self, candidate: PredictingCandidate, scope: str, core: Reference | None
    ) -> tuple[Agreement, Reference]:
        """Return how far a candidate is from its reference, and its own prediction.

        Args:
            candidate: which runs once.
            scope: "core" or "end_to_end".
            core: the prediction of the core of the same session, once it was found right: labels
                from end to end must be the very same.

        Raises:
            ParityError: farther than its precision allows, or of another shape.
        """
        prediction = np.asarray(candidate.predict())
        own = Reference(candidate.name, prediction)
        if core is not None and core.prediction.shape[:3] == prediction.shape[:3]:
            return check_prediction(prediction, core, name=own.name, precision=Precision.FP32), own
        if scope not in self._references:
            _refuse_flat(prediction)
            self._references[scope] = own
        reference, precision = self._references[scope], candidate.precision
        if precision == Precision.INT8 and prediction.ndim == _PROBABILITIES:
            return _compare_quantised(candidate.name, prediction, reference), own
        return check_prediction(prediction, reference, name=own.name, precision=precision), own


def _refuse_flat(prediction: NDArray[Any]) -> None:
    spread = float(np.ptp(prediction))
    if not spread > _FLAT:
        raise ParityError(
            "The reference's prediction says nothing",
            got=f"values within {spread:.1g}",
            hint="give another image, or trained weights",
        )


def _compare_quantised(name: str, prediction: NDArray[Any], reference: Reference) -> Agreement:
    expected = reference.prediction
    if expected.shape != prediction.shape:
        raise ParityError(
            f"{name} gives another shape", got=prediction.shape, expected=expected.shape
        )
    off = prediction.astype(np.float32) - expected
    spread = float(off.std() / expected.std())
    if not spread <= _QUANTISED_SPREAD:  # NaN fails too
        raise ParityError(
            f"{name} disagrees with {reference.name} and is not timed",
            got=f"differences that spread by {spread:.2g} of the reference's own spread",
            expected=f"at most {_QUANTISED_SPREAD:g} in int8",
        )
    differ = float(np.mean(prediction.argmax(axis=-1) != expected.argmax(axis=-1)))
    return Agreement(reference.name, float(np.abs(off).max()), differ)


_NETWORK = ("batch", "height", "width", "precision", "flops", "bytes", "attainable_ns")
_LAYER = ("name", "block", "op", "flops", "bytes", "attainable_ns")


def row_roofline(
    model: OnnxModel, spec: RowSpec, computes_in: str, ceilings: Ceilings
) -> Roofline | None:
    """Return a row's network under the ceilings, in the type that most of the row computes in.

    None where the machine's peak in that type was not measured.
    """
    cost = graph_cost(model, batch=spec.batch, height=spec.side, width=spec.side)
    types = {layer.computes_in for layer in cost.layers}
    limit = roofline(cost, ceilings, dict.fromkeys(types, computes_in.partition(",")[0]))
    return None if limit.attainable_ns is None else limit


def _network_entry(spec: RowSpec, limit: Roofline) -> dict[str, Any]:
    """Return the network's entry of the record."""
    found = limit.to_json()
    return {
        **{name: found[name] for name in _NETWORK},
        "precision": spec.precision,
        "channels": CHANNELS,
        "layers": [{name: layer[name] for name in _LAYER} for layer in found["layers"]],
    }


class OpenedNetwork(Protocol):
    """Hold one network that one library opened on the case's input.

    Attributes:
        facts: about its rows.
        limit: the network under this machine's ceilings; None where that is not known.
    """

    facts: Facts
    limit: Roofline | None

    def candidate(self, spec: RowSpec) -> PredictingCandidate:
        """Return what is timed for a row; `close` closes it too.

        Raises:
            UnsupportedModel: the library has no such scope.
        """

    def close(self) -> None:
        """Give back what it holds."""


OpenNetwork = Callable[[RowSpec], OpenedNetwork]

OnProgress = Callable[[str, CaseResult], None]
"""Called before anything that may crash: with the id of the row, and what was found so far."""


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """Hold a row that opened and agrees with the reference.

    Attributes:
        spec: of the row.
        facts: about it.
        agreement: with the reference.
        candidate: to be timed.
        again: the same, opened a second time, for the A/A test. None of most.
        limit: the least time of its network; None where that is not known.
    """

    spec: RowSpec
    facts: Facts
    agreement: Agreement
    candidate: PredictingCandidate
    again: PredictingCandidate | None = None
    limit: Roofline | None = None


TimeScope = Callable[[Mapping[str, CheckedRow]], CaseResult]
"""Times the rows of a scope, by id, in the same rounds; returns rows and comparisons."""


def time_case(
    specs: Sequence[RowSpec],
    open_network: OpenNetwork,
    time_scope: TimeScope,
    on_progress: OnProgress,
) -> CaseResult:
    """Time rows of one network, size and batch, those of a scope in the same rounds.

    The first that opens is the reference of all predictions; what disagrees is not timed.

    Args:
        specs: of the rows; those of one precision and library follow each other.
        open_network: opens what a row runs.
        time_scope: times the rows of one scope.
        on_progress: called with the id of the row that is being opened, and with "" before rows
            are timed.
    """
    result = CaseResult()
    with ExitStack() as stack:
        checked = list(_open_all(specs, open_network, on_progress, result, stack))
        for one in checked:
            if one.limit is not None and one.spec.batch == 1:
                entry = _network_entry(one.spec, one.limit)
                result.networks.setdefault(one.spec.network_key, entry)
        for scope in dict.fromkeys(spec.scope for spec in specs):
            sharing = {one.spec.id: one for one in checked if one.spec.scope == scope}
            if sharing:
                on_progress("", result)
                result.add(time_scope(sharing))
    return result


def _open_all(
    specs: Sequence[RowSpec],
    open_network: OpenNetwork,
    on_progress: OnProgress,
    result: CaseResult,
    stack: ExitStack,
) -> Iterator[CheckedRow]:
    gate = ParityGate()
    doubled: dict[str, set[str]] = {spec.scope: set() for spec in specs}
    for _, group in groupby(specs, key=lambda spec: (spec.precision, spec.backend)):
        scopes = tuple(group)
        on_progress(scopes[0].id, result)
        try:
            opened = open_network(scopes[0])
        except Exception as error:  # noqa: BLE001  (a library's own: a failure of these alone)
            result.failures.extend(Failure(spec.id, _reason(error)) for spec in scopes)
            continue
        stack.callback(opened.close)
        core: Reference | None = None
        for spec in scopes:
            try:
                candidate = opened.candidate(spec)
                agreement, own = gate.check(candidate, spec.scope, core)
            except ParityError as error:  # then what follows of it cannot be trusted either
                rest = scopes[scopes.index(spec) :]
                result.failures.extend(Failure(one.id, _reason(error)) for one in rest)
                break
            except Exception as error:  # noqa: BLE001  (likewise)
                result.failures.append(Failure(spec.id, _reason(error)))
                continue
            core = own if spec.scope == "core" else core
            again = None
            if not spec.peer and spec.backend not in doubled[spec.scope]:
                doubled[spec.scope].add(spec.backend)
                again = _second(spec, open_network, stack)
            yield CheckedRow(spec, opened.facts, agreement, candidate, again, opened.limit)


def _second(
    spec: RowSpec, open_network: OpenNetwork, stack: ExitStack
) -> PredictingCandidate | None:
    """Open a row once more; where there is no room for two, it goes without an A/A test."""
    try:
        opened = open_network(spec)
        stack.callback(opened.close)
        return opened.candidate(spec)
    except Exception:  # noqa: BLE001  (a library's own; the comparison says that there was none)
        return None


def _share(one: CheckedRow, samples: Samples) -> dict[str, float] | None:
    """Return how near the core comes to its network's least time."""
    if one.limit is None or one.limit.attainable_ns is None or one.spec.scope != "core":
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
    """Time the scopes of a case one after another, `scopes` of them in about `seconds`."""

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

    def __call__(self, sharing: Mapping[str, CheckedRow]) -> CaseResult:
        """Time all in the same rounds, and beside them the second copies of those that have one."""
        arms: dict[str, PredictingCandidate] = {
            name: one.candidate for name, one in sharing.items()
        }
        arms |= {_again(name): one.again for name, one in sharing.items() if one.again is not None}
        share = self._seconds / self._scopes
        began = self._clock()
        count = samples_within(share, arms.values(), self._samples)
        self._scopes -= 1
        if not count:
            return CaseResult(failures=[Failure(name, NO_TIME) for name in sharing])
        taken = time_in_rounds(arms, MeasureSpec(samples=count), on_run=self._on_run)
        self._seconds -= self._clock() - began
        rows = {
            name: row_of(
                replace(taken[name], agreement=one.agreement),
                one.facts,
                self._input,
                scope=one.spec.scope,
                mode=Serialised(),
                roofline=_share(one, taken[name]),
            )
            for name, one in sharing.items()
        }
        return CaseResult(rows=list(rows.values()), comparisons=list(_comparisons(rows, taken)))


def samples_within(seconds: float, candidates: Iterable[PredictingCandidate], most: int) -> int:
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
