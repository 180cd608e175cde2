"""What the harness itself promises: its own time, no false alarm, no slow-down that it misses.

    python -m unetrt.benchmarks.harness --out FILE

Exit status 1 where a figure that the project promises is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetrt.files import write_text

from .call_candidate import CallCandidate
from .comparison import Compared, compare_candidates
from .environment import describe_machine
from .measure import measure
from .plan import Plan

__all__ = ["judge", "main", "measure_harness"]

_OVERHEAD_NS = 2000
_OF_TEN = 9
_STEPS = 20
"""Of work in a run; a tenth more is 22."""


def measure_harness(repetitions: int = 10) -> dict[str, Any]:
    """Time a call that does nothing; compare work with the same work, and with a tenth more."""
    nothing = CallCandidate("nothing", lambda x: x, np.arange(2.0))
    overhead = measure([nothing], Plan(percentile=99, run_length=50))["nothing"]
    return {
        "overhead_ns": statistics.median(overhead.host_ns),
        "same": [_shown(_compared(_STEPS, seed)) for seed in range(repetitions)],
        "planted": [_shown(_compared(_STEPS * 11 // 10, seed)) for seed in range(repetitions)],
    }


def _compared(steps: int, seed: int) -> Compared:
    variants: dict[str, Callable[[int], CallCandidate]] = {
        "base": partial(_work, "base", _STEPS),
        "other": partial(_work, "other", steps),
    }
    return compare_candidates(variants, Plan(samples=64, run_length=8, seed=seed))["other"]


def _work(name: str, steps: int, rebuild: int) -> CallCandidate:
    """Return so many products of matrices of its own, one after another."""
    weights = np.random.default_rng(rebuild).normal(size=(192, 192)) / 14

    def call(x: Any) -> Any:
        for _ in range(steps):
            x = x @ weights
        return x

    return CallCandidate(name, call, np.random.default_rng(rebuild).normal(size=(192, 192)))


def _shown(compared: Compared) -> dict[str, Any]:
    ratio, null = compared.ratio, compared.null
    return {
        "verdict": compared.verdict,
        "ratio": ratio.ratio,
        "interval": [ratio.low, ratio.high],
        "null": [null.low, null.high],
    }


def judge(measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Hold the results against what the project promises."""

    def told(what: str, verdict: str) -> dict[str, Any]:
        each = [one["verdict"] for one in measured[what]]
        found = each.count(verdict)
        ratios = [one["ratio"] for one in measured[what]]
        planted = "a tenth more work" if what == "planted" else "the same work"
        return {
            "promise": f'{planted} is told "{verdict}" {_OF_TEN} times of ten',
            "measured": f"{found} of {len(each)}, ratios {min(ratios):.3f} to {max(ratios):.3f}",
            "kept": 10 * found >= _OF_TEN * len(each),
        }

    return [
        {
            "promise": f"the harness takes under {_OVERHEAD_NS / 1000:g} us a sample (median)",
            "measured": f"{measured['overhead_ns'] / 1000:.2f} us",
            "kept": measured["overhead_ns"] < _OVERHEAD_NS,
        },
        told("same", "cannot be told apart"),
        told("planted", "slower"),
    ]


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="What the harness promises.")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    measured = measure_harness()
    verdicts = judge(measured)
    for one in verdicts:
        mark = "ok" if one["kept"] else "MISSED"
        sys.stdout.write(f"{mark:6} {one['promise']}: {one['measured']}\n")
    text = {"machine": describe_machine(), "verdicts": verdicts, **measured}
    write_text(given.out, json.dumps(text, indent=1) + "\n")
    return 0 if all(one["kept"] for one in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
