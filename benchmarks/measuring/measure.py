"""Time candidates side by side: raw nanoseconds, warm-up kept apart, nothing clipped."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from unetrt.errors import BadInput
from unetrt.gpu import find_gpu

from .agreement import Agreement, Reference, check_agreement
from .candidate import Candidate, Turn
from .clock import now_ns, preemptions
from .doubts import doubts_of
from .modes.paced import joined
from .nvml import open_gpu_probe
from .plan import Plan
from .samples import Samples
from .telemetry import Telemetry
from .window import Window

__all__ = ["measure", "take_turns"]


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
