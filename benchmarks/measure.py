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
from .candidates import Candidate, Turn
from .modes import Mode, Serialised, joined
from .statistics import Samples, fewest_samples
from .telemetry import DOUBTFUL, Telemetry, Window, now_ns, open_gpu_probe, preemptions

__all__ = ["Plan", "doubts_of", "measure", "take_turns"]

_PERCENTILE = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often and in which order candidates run.

    Attributes:
        percentile: that the samples must carry; it chooses their number.
        samples: timed runs of each instead, as many as the percentile needs or more.
        warmup: runs of each before that.
        run_length: consecutive runs of one candidate before another has its turn.
        seed: of the order of the turns.
        mode: how runs follow each other.
    """

    percentile: float | None = None
    samples: int | None = None
    warmup: int = 5
    run_length: int = 10
    seed: int = 0
    mode: Mode = field(default_factory=Serialised)

    def __post_init__(self) -> None:
        counts = (self.run_length, 1 if self.samples is None else self.samples)
        if min(counts) < 1 or self.warmup < 0:
            raise BadInput(
                "Cannot measure by this plan",
                got=str(self),
                expected="at least one sample and one run a turn",
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
        """Timed runs of each candidate."""
        if self.samples is not None:
            return self.samples
        return fewest_samples(_PERCENTILE if self.percentile is None else self.percentile)

    @property
    def turn_length(self) -> int:
        """Runs in one turn."""
        return self.count if self.mode.in_one_turn else min(self.run_length, self.count)


_ENQUEUE_SHARE = 0.8
_COMPUTE_VARIATION = 0.025
"""Both are trtexec's (TensorRT, samples/common/sampleReporting.cpp)."""

_HOST_VARIATION = 0.1
_PREEMPTED_SHARE = 0.05
_LOAD = 1.5


def doubts_of(turn: Turn, windows: Sequence[Window]) -> list[str]:
    """Return what speaks against the samples of all turns; nothing where nothing does."""
    return [doubt for doubt in (
        _enqueue(turn), _variation(turn), _throttled(windows), _preempted(turn, windows),
        _load(windows),
    ) if doubt]  # fmt: skip


def _enqueue(turn: Turn) -> str:
    enqueue, compute = (turn.stages_ns.get(name) for name in ("enqueue", "compute"))
    if not enqueue or not compute:
        return ""
    share = float(np.median(enqueue) / max(1.0, float(np.median(compute))))
    if share <= _ENQUEUE_SHARE:
        return ""
    return (
        f"Launching takes {100 * share:.0f} % of the time that the GPU computes: this may be the "
        "host's speed, not the network's"
    )


def _variation(turn: Turn) -> str:
    compute = turn.stages_ns.get("compute")
    taken, limit = (compute, _COMPUTE_VARIATION) if compute else (turn.host_ns, _HOST_VARIATION)
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


def _preempted(turn: Turn, windows: Sequence[Window]) -> str:
    lost, n = sum(window.preemptions or 0 for window in windows), len(turn.host_ns)
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
    plan: Plan | None = None,
    *,
    reference: Reference | None = None,
    on_run: Callable[[str], None] = lambda _line: None,
) -> dict[str, Samples]:
    """Check candidates against the reference's answer, then time them in short turns.

    Turns are of random order and spread a machine's slow minutes over all candidates. Each begins
    with one untimed run, since the one before filled the caches with another network. What the
    machine did in each is kept beside the samples.

    Raises:
        BadInput: two candidates of one name, none at all, or one that the mode cannot run.
        ParityError: one disagrees with the reference; nothing was timed.
    """
    twice = [name for name, n in Counter(c.name for c in candidates).items() if n > 1]
    if twice or not candidates:
        raise BadInput(
            "Cannot tell the candidates apart" if twice else "There is nothing to time",
            got=", ".join(twice) or None,
        )
    named = {candidate.name: candidate for candidate in candidates}
    return take_turns(named, plan or Plan(), reference=reference, on_run=on_run)


def take_turns(
    candidates: Mapping[str, Candidate],
    plan: Plan,
    *,
    reference: Reference | None = None,
    on_run: Callable[[str], None] = lambda _line: None,
) -> dict[str, Samples]:
    """As `measure`, under names of one's own."""
    agreements = {
        name: None if reference is None else check_agreement(candidate, reference)
        for name, candidate in candidates.items()
    }
    probe, unwatched = open_gpu_probe() if find_gpu() is not None else (None, "")
    logs = {name: _Log(agreements[name]) for name in candidates}
    order = random.Random(plan.seed)  # noqa: S311  (an order, not a secret)
    try:
        with Telemetry(probe) as telemetry:
            for name, candidate in candidates.items():
                if plan.warmup:
                    logs[name].warmup = plan.mode.take(candidate, plan.warmup).host_ns
            left = plan.count
            while left:
                count = min(plan.turn_length, left)
                left -= count
                for name in order.sample(list(candidates), len(candidates)):
                    logs[name].add(*_turn(candidates[name], plan, count, telemetry))
                    on_run(f"{name}: {plan.count - left}/{plan.count} runs")
    finally:
        if probe is not None:
            probe.close()
    doubt = f"The GPU's clocks were not watched: {unwatched}" if unwatched else ""
    return {name: log.samples(name, plan, doubt) for name, log in logs.items()}


def _turn(
    candidate: Candidate, plan: Plan, count: int, telemetry: Telemetry
) -> tuple[Turn, Window]:
    plan.mode.take(candidate, 1)  # the caches
    switched = preemptions()
    began = now_ns()
    turn = plan.mode.take(candidate, count)
    ended, after = now_ns(), preemptions()
    lost = None if after is None or switched is None else after - switched
    return turn, telemetry.window(began, ended, n=len(turn.host_ns), preemptions=lost)


@dataclass(slots=True)
class _Log:
    agreement: Agreement | None
    warmup: tuple[int, ...] = ()
    turns: list[Turn] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)

    def add(self, turn: Turn, window: Window) -> None:
        self.turns.append(turn)
        self.windows.append(window)

    def samples(self, name: str, plan: Plan, doubt: str) -> Samples:
        whole = joined(self.turns)
        doubts = [*plan.mode.doubts(self.turns), *doubts_of(whole, self.windows)]
        return Samples(
            name=name,
            host_ns=whole.host_ns,
            stages_ns=whole.stages_ns,
            warmup_ns=self.warmup,
            windows=tuple(self.windows),
            runs_per_s=plan.mode.runs_per_s(self.turns),
            agreement=self.agreement,
            warnings=(*doubts, *([doubt] if doubt else [])),
        )
