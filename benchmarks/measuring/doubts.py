"""Why a figure should not be trusted, in sentences."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from .candidate import Turn
from .nvml import DOUBTFUL
from .window import Window

__all__ = ["doubts_of"]

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
