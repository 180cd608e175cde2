"""Test the harness itself: its own time, false alarms, missed slow-downs, a stopwatch's ratio.

python -m unetrt.benchmarks.promises.harness --out FILE
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from unetrt.artifacts import OnnxModel
from unetrt.runtime import SessionSpec, open_session

from ..ab_test import ABTest, compare_candidates
from ..candidates import CallCandidate, session_candidate
from ..inputs import random_input
from ..measure import MeasureSpec, measure
from ..networks.skeletons import fill_skeleton
from .overhead import BARE
from .random_image import random_image
from .runner import Verdict, report, run_in_child, run_script, script_parser

__all__ = ["judge", "main", "measure_harness", "measure_ratio", "time_in_loops"]

_OVERHEAD_NS = 2000
_OF_TEN = 9
_STEPS = 20
"""Of work in a run; a tenth more is 22."""

_APART = 0.05


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    given = script_parser(__doc__).parse_args()
    measured = measure_harness() | {"ratio": measure_ratio()}
    return report(judge(measured), measured, given.out)


def measure_harness(repetitions: int = 10) -> dict[str, Any]:
    """Time a call that does nothing; compare work with the same work, and with a tenth more."""
    nothing = CallCandidate("nothing", lambda x: x, np.arange(2.0))
    overhead = measure([nothing], MeasureSpec(percentile=99, runs_per_round=50))["nothing"]
    return {
        "overhead_ns": statistics.median(overhead.host_ns),
        "same": [_facts(_compare(_STEPS, seed)) for seed in range(repetitions)],
        "planted": [_facts(_compare(_STEPS * 11 // 10, seed)) for seed in range(repetitions)],
    }


def _compare(steps: int, seed: int) -> ABTest:
    variants: dict[str, Callable[[int], CallCandidate]] = {
        "base": partial(_work, "base", _STEPS),
        "other": partial(_work, "other", steps),
    }
    return compare_candidates(variants, MeasureSpec(samples=64, runs_per_round=8, seed=seed))[
        "other"
    ]


def _work(name: str, steps: int, rebuild: int) -> CallCandidate:
    """Return so many products of matrices of its own, one after another."""
    weights = np.random.default_rng(rebuild).normal(size=(192, 192)) / 14

    def call(x: Any) -> Any:
        for _ in range(steps):
            x = x @ weights
        return x

    return CallCandidate(name, call, np.random.default_rng(rebuild).normal(size=(192, 192)))


def _facts(compared: ABTest) -> dict[str, Any]:
    ratio, null = compared.ratio, compared.null
    return {
        "verdict": compared.verdict,
        "ratio": ratio.ratio,
        "interval": [ratio.low, ratio.high],
        "null": [null.low, null.high],
    }


def measure_ratio(
    network: str = "article",
    side: int = 256,
    *,
    samples: int = 64,
    blocks: int = 12,
    runs: int = 5,
) -> dict[str, float]:
    """Return OpenVINO's time over ONNX Runtime's, by the harness and by a clock around a loop.

    Args:
        network: a skeleton's name.
        side: height and width of its input.
        samples: of each library by the harness.
        blocks: of the loop, in which the libraries take turns.
        runs: in a block.

    Raises:
        CheckFailed: the loop's child failed; holds its words.
    """
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "model.onnx")
        fill_skeleton(network, path, height=side, width=side)
        loop = run_in_child(
            partial(time_in_loops, model=str(path), side=side, blocks=blocks, runs=runs)
        )
        x = random_input(batch=1, height=side, width=side, channels=1, seed=0)
        specs = [SessionSpec(backend=name) for name in ("onnxruntime", "openvino")]
        with open_session(path, specs[0]) as first, open_session(path, specs[1]) as second:
            candidates = [
                session_candidate(name, session, x, scope="core", precision="fp32")
                for name, session in (("onnxruntime", first), ("openvino", second))
            ]
            taken = measure(candidates, MeasureSpec(samples=samples, runs_per_round=5))
            for candidate in candidates:
                candidate.close()
    median = {name: statistics.median(samples.host_ns) for name, samples in taken.items()}
    return {
        "harness": median["openvino"] / median["onnxruntime"],
        "stopwatch": loop["openvino"] / loop["onnxruntime"],
    }


def time_in_loops(*, model: str, side: int, blocks: int, runs: int) -> dict[str, float]:
    """Return the mean nanoseconds of a run on each bare library, in a child.

    Times nothing by the harness that it is to be held against: no turns at random, no medians.
    """
    network = OnnxModel.load(Path(model))
    x = random_image(network, side)
    calls = {name: make(network) for name, make in BARE.items()}
    spent = dict.fromkeys(calls, 0)
    for block in range(blocks + 1):
        for name, call in calls.items():
            began = time.monotonic_ns()
            for _ in range(runs):
                call(x)
            if block:  # the first one warms up
                spent[name] += time.monotonic_ns() - began
    return {name: total / (blocks * runs) for name, total in spent.items()}


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""

    def told(what: str, work: str, verdict: str) -> Verdict:
        each = [one["verdict"] for one in measured[what]]
        ratios = [one["ratio"] for one in measured[what]]
        found = each.count(verdict)
        return Verdict(
            f'{work} is judged "{verdict}" {_OF_TEN} times of ten',
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
        told("same", "the same work", "cannot be told apart"),
        told("planted", "a tenth more work", "slower"),
        Verdict(
            "OpenVINO over ONNX Runtime, the article's network at 256 x 256: within "
            f"{_APART:.0%} of a stopwatch's ratio",
            f"{harness:.3f}, the stopwatch says {stopwatch:.3f}",
            abs(harness / stopwatch - 1) <= _APART,
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_script(main))
