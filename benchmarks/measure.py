"""Time candidates side by side: raw nanoseconds, warm-up kept apart, nothing clipped."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from unetrt.errors import BadInput
from unetrt.gpu import find_gpu

from .agreement import Agreement, Reference, check_agreement
from .candidates import Candidate, Runs
from .modes import Mode, Serialised, joined
from .statistics import Samples, fewest_samples
from .telemetry import DOUBTFUL, Telemetry, Window, now_ns, open_gpu_probe, preemptions

__all__ = ["MeasureSpec", "measure", "time_in_rounds", "warnings_of"]

_PERCENTILE = 90.0
_FEWEST_ROUNDS = 5
"""Of fewer the interval of a ratio holds the true one too rarely, however it is computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSpec:
    """Say how often and in which order candidates run.

    Attributes:
        percentile: that the samples must carry, between 0 and 100; it chooses their number.
        samples: timed runs of each instead, as many as the percentile needs or more.
        warmup: runs of each before that.
        runs_per_round: consecutive runs of one candidate, at most, before another has its turn.
        seed: of the order within the rounds.
        mode: how runs follow each other.

    Raises:
        BadInput: no sample, no run in a round, or fewer samples than the percentile needs.

    Example:
        >>> MeasureSpec(percentile=99).count
        662
    """

    percentile: float | None = None
    samples: int | None = None
    warmup: int = 5
    runs_per_round: int = 10
    seed: int = 0
    mode: Mode = field(default_factory=Serialised)

    def __post_init__(self) -> None:
        counts = (self.runs_per_round, 1 if self.samples is None else self.samples)
        if min(counts) < 1 or self.warmup < 0:
            raise BadInput(
                "Cannot measure like this",
                got=str(self),
                expected="at least one sample and one run in a round",
            )
        if self.percentile is not None and self.count < fewest_samples(self.percentile):
            raise BadInput(
                f"The {self.percentile:g}th percentile cannot be told from so few samples",
                got=self.samples,
                expected=f"at least {fewest_samples(self.percentile)}",
                hint="leave the number of samples out, and the percentile chooses it",
            )

    @property
    def count(self) -> int:
        """Return the timed runs of each candidate."""
        if self.samples is not None:
            return self.samples
        return fewest_samples(_PERCENTILE if self.percentile is None else self.percentile)

    @property
    def round_length(self) -> int:
        """Return the runs of each candidate in one round."""
        if self.mode.in_one_round:
            return self.count
        return max(1, min(self.runs_per_round, self.count // _FEWEST_ROUNDS))


_ENQUEUE_SHARE = 0.8
_COMPUTE_VARIATION = 0.025
"""Both are trtexec's (TensorRT, samples/common/sampleReporting.cpp)."""

_HOST_VARIATION = 0.1
_PREEMPTED_SHARE = 0.05
_LOAD = 1.5


def warnings_of(runs: Runs, windows: Sequence[Window]) -> list[str]:
    """Return what speaks against the samples of all rounds; nothing where nothing does."""
    return [warning for warning in (
        _enqueue(runs), _variation(runs), _throttled(windows), _preempted(runs, windows),
        _load(windows),
    ) if warning]  # fmt: skip


def _enqueue(runs: Runs) -> str:
    enqueue, compute = (runs.stages_ns.get(name) for name in ("enqueue", "compute"))
    if not enqueue or not compute:
        return ""
    share = float(np.median(enqueue) / max(1.0, float(np.median(compute))))
    if share <= _ENQUEUE_SHARE:
        return ""
    return (
        f"Launching takes {100 * share:.0f} % of the time that the GPU computes: this may be the "
        "host's speed, not the network's"
    )


def _variation(runs: Runs) -> str:
    compute = runs.stages_ns.get("compute")
    taken, limit = (compute, _COMPUTE_VARIATION) if compute else (runs.host_ns, _HOST_VARIATION)
    variation = float(np.std(taken) / max(1.0, float(np.mean(taken))))
    if variation <= limit:
        return ""
    return (
        f"The {'GPU' if compute else 'host'} times vary by {100 * variation:.1f} % (standard "
        f"deviation over mean; quiet is under {100 * limit:g} %)"
    )


def _throttled(windows: Sequence[Window]) -> str:
    hot = [window for window in windows if window.throttled]
    if not hot:
        return ""
    reasons = sorted(DOUBTFUL & {reason for window in hot for reason in window.throttle})
    return f"The GPU throttled in {len(hot)} of {len(windows)} windows: {', '.join(reasons)}"


def _preempted(runs: Runs, windows: Sequence[Window]) -> str:
    lost, n = sum(window.preemptions or 0 for window in windows), len(runs.host_ns)
    if lost <= _PREEMPTED_SHARE * n:
        return ""
    return f"The timing thread lost its core {lost} times in {n} runs: other programs are running"


def _load(windows: Sequence[Window]) -> str:
    cores = os.cpu_count() or 1
    load = max((window.load_average or 0.0 for window in windows), default=0.0)
    if load <= _LOAD * cores:
        return ""
    return f"The machine's load was {load:.1f} on {cores} cores: other programs are running"


def measure(
    candidates: Sequence[Candidate],
    spec: MeasureSpec | None = None,
    *,
    reference: Reference | None = None,
    on_run: Callable[[str], None] = lambda _line: None,
) -> dict[str, Samples]:
    """Compare candidates with the reference's prediction, then time them in short rounds.

    In a round each candidate has its turn, in random order, so that a machine's slow minutes are
    spread over all of them. A turn begins with one untimed run, since the one before filled the
    caches with another network. The clocks and the load of the machine are kept beside the samples.

    Args:
        candidates: of different names; they stay the caller's to close.
        spec: how often and in which order they run.
        reference: of the same input; None checks nothing.
        on_run: told a line of progress after each turn.

    Returns:
        The samples, in nanoseconds, by the candidates' names.

    Raises:
        BadInput: two candidates of one name, none at all, or one that the mode cannot run.
        ParityError: one disagrees with the reference; nothing was timed.

    Example:
        >>> import numpy as np
        >>> from unetrt.benchmarks import CallCandidate, summarize
        >>> x = np.arange(12.0)
        >>> candidates = [CallCandidate("sorted", np.sort, x), CallCandidate("sums", np.cumsum, x)]
        >>> samples = measure(candidates, MeasureSpec(samples=20))
        >>> {name: summarize(taken).n for name, taken in samples.items()}
        {'sorted': 20, 'sums': 20}
    """
    twice = [name for name, n in Counter(c.name for c in candidates).items() if n > 1]
    if twice or not candidates:
        raise BadInput(
            "Cannot tell the candidates apart" if twice else "There is nothing to time",
            got=", ".join(twice) or None,
        )
    named = {candidate.name: candidate for candidate in candidates}
    return time_in_rounds(named, spec or MeasureSpec(), reference=reference, on_run=on_run)


def time_in_rounds(
    candidates: Mapping[str, Candidate],
    spec: MeasureSpec,
    *,
    reference: Reference | None = None,
    on_run: Callable[[str], None] = lambda _line: None,
) -> dict[str, Samples]:
    """Time candidates in rounds, under names of the caller's; see `measure`."""
    agreements = {
        name: None if reference is None else check_agreement(candidate, reference)
        for name, candidate in candidates.items()
    }
    probe, unwatched = open_gpu_probe() if find_gpu() is not None else (None, "")
    logs = {name: _Log(agreements[name]) for name in candidates}
    order = random.Random(spec.seed)  # noqa: S311  (an order, not a secret)
    try:
        with Telemetry(probe) as telemetry:
            for name, candidate in candidates.items():
                if spec.warmup:
                    logs[name].warmup = spec.mode.time_runs(candidate, spec.warmup).host_ns
            left = spec.count
            while left:
                count = min(spec.round_length, left)
                left -= count
                for name in order.sample(list(candidates), len(candidates)):
                    logs[name].add(*_turn(candidates[name], spec, count, telemetry))
                    on_run(f"{name}: {spec.count - left}/{spec.count} runs")
    finally:
        if probe is not None:
            probe.close()
    warning = f"The GPU's clocks were not watched: {unwatched}" if unwatched else ""
    return {name: log.samples(name, spec, warning) for name, log in logs.items()}


def _turn(
    candidate: Candidate, spec: MeasureSpec, count: int, telemetry: Telemetry
) -> tuple[Runs, Window]:
    spec.mode.time_runs(candidate, 1)  # the caches
    switched = preemptions()
    began = now_ns()
    runs = spec.mode.time_runs(candidate, count)
    ended, after = now_ns(), preemptions()
    lost = None if after is None or switched is None else after - switched
    return runs, telemetry.window(began, ended, n=len(runs.host_ns), preemptions=lost)


@dataclass(slots=True)
class _Log:
    agreement: Agreement | None
    warmup: tuple[int, ...] = ()
    rounds: list[Runs] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)

    def add(self, runs: Runs, window: Window) -> None:
        self.rounds.append(runs)
        self.windows.append(window)

    def samples(self, name: str, spec: MeasureSpec, warning: str) -> Samples:
        whole = joined(self.rounds)
        warnings = [*spec.mode.warnings(self.rounds), *warnings_of(whole, self.windows)]
        return Samples(
            name=name,
            host_ns=whole.host_ns,
            stages_ns=whole.stages_ns,
            warmup_ns=self.warmup,
            windows=tuple(self.windows),
            runs_per_s=spec.mode.runs_per_s(self.rounds),
            agreement=self.agreement,
            warnings=(*warnings, *([warning] if warning else [])),
        )
