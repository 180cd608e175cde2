"""What the harness itself promises.

Its own time, no false alarm, no slow-down that it misses, ratios that a stopwatch confirms.

    python -m unetrt.benchmarks.harness --out FILE

Exit status 1 where a figure that the project promises is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetrt.runtime import SessionSpec, open_session

from .ab_test import Compared, compare_candidates
from .candidates import CallCandidate, session_candidate
from .inputs import random_input
from .measure import Plan, measure
from .networks.skeletons import fill_skeleton
from .processes import run_job
from .verdicts import Verdict, report

__all__ = ["judge", "main", "measure_harness", "measure_stopwatch"]

_OVERHEAD_NS = 2000
_OF_TEN = 9
_STEPS = 20
"""Of work in a run; a tenth more is 22."""

_APART = 0.05
_TIMEOUT_S = 900


def measure_harness(repetitions: int = 10) -> dict[str, Any]:
    """Time a call that does nothing; compare work with the same work, and with a tenth more."""
    nothing = CallCandidate("nothing", lambda x: x, np.arange(2.0))
    overhead = measure([nothing], Plan(percentile=99, run_length=50))["nothing"]
    return {
        "overhead_ns": statistics.median(overhead.host_ns),
        "same": [_shown(_compared(_STEPS, seed)) for seed in range(repetitions)],
        "planted": [_shown(_compared(_STEPS * 11 // 10, seed)) for seed in range(repetitions)],
    }


def measure_stopwatch(
    network: str = "article", side: int = 256, *, samples: int = 64, words: tuple[str, ...] = ()
) -> dict[str, float]:
    """Return OpenVINO's time over ONNX Runtime's, by the harness and by a clock around a loop.

    `words` are more options of the stopwatch.

    Raises:
        CheckFailed: the stopwatch failed; holds its words.
    """
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "model.onnx")
        fill_skeleton(network, path, height=side, width=side)
        loop = run_job("stopwatch", (str(path), "--side", str(side), *words), timeout_s=_TIMEOUT_S)
        x = random_input(batch=1, height=side, width=side, channels=1, seed=0)
        specs = [SessionSpec(backend=name) for name in ("onnxruntime", "openvino")]
        with open_session(path, specs[0]) as first, open_session(path, specs[1]) as second:
            candidates = [
                session_candidate(name, session, x, scope="core", precision="fp32")
                for name, session in (("onnxruntime", first), ("openvino", second))
            ]
            taken = measure(candidates, Plan(samples=samples, run_length=5))
            for candidate in candidates:
                candidate.close()
    median = {name: statistics.median(samples.host_ns) for name, samples in taken.items()}
    return {
        "harness": median["openvino"] / median["onnxruntime"],
        "stopwatch": loop["openvino"] / loop["onnxruntime"],
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


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""

    def told(what: str, verdict: str) -> Verdict:
        each = [one["verdict"] for one in measured[what]]
        found = each.count(verdict)
        ratios = [one["ratio"] for one in measured[what]]
        planted = "a tenth more work" if what == "planted" else "the same work"
        return Verdict(
            f'{planted} is told "{verdict}" {_OF_TEN} times of ten',
            f"{found} of {len(each)}, ratios {min(ratios):.3f} to {max(ratios):.3f}",
            10 * found >= _OF_TEN * len(each),
        )

    harness, stopwatch = measured["ratio"]["harness"], measured["ratio"]["stopwatch"]
    return [
        Verdict(
            f"the harness takes under {_OVERHEAD_NS / 1000:g} us a sample (median)",
            f"{measured['overhead_ns'] / 1000:.2f} us",
            measured["overhead_ns"] < _OVERHEAD_NS,
        ),
        told("same", "cannot be told apart"),
        told("planted", "slower"),
        Verdict(
            "OpenVINO over ONNX Runtime, the article's network at 256 x 256: within "
            f"{_APART:.0%} of a stopwatch's ratio",
            f"{harness:.3f}, the stopwatch says {stopwatch:.3f}",
            abs(harness / stopwatch - 1) <= _APART,
        ),
    ]


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="What the harness promises.")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    measured = measure_harness() | {"ratio": measure_stopwatch()}
    return report(judge(measured), measured, given.out)


if __name__ == "__main__":
    sys.exit(main())
