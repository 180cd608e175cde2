"""One network on two bare libraries, by a clock around a loop and nothing else.

    python -m unetrt.benchmarks.jobs.stopwatch MODEL --out FOLDER

Times nothing by the harness that it is to be held against: no turns at random, no medians.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from unetrt.artifacts import OnnxModel

from ..random_image import random_image
from .overhead import BARE

__all__ = ["main", "mean_ns"]


def mean_ns(model: OnnxModel, side: int, *, blocks: int, runs: int) -> dict[str, float]:
    """Return the mean nanoseconds of a run on each library, in blocks by turns."""
    x = random_image(model, side)
    calls = {name: make(model, None) for name, make in BARE.items()}
    spent = dict.fromkeys(calls, 0)
    for block in range(blocks + 1):
        for name, call in calls.items():
            began = time.monotonic_ns()
            for _ in range(runs):
                call(x)
            if block:  # the first one warms up
                spent[name] += time.monotonic_ns() - began
    return {name: total / (blocks * runs) for name, total in spent.items()}


def main() -> None:
    """Measure as the command line says, and write FOLDER/result.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    found = mean_ns(OnnxModel.load(given.model), given.side, blocks=given.blocks, runs=given.runs)
    (given.out / "result.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
