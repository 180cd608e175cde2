"""What training costs: its input beside the network, and memory.

    python -m unetrt.benchmarks.training --out benchmarks/results/cpu-2-cores/training.json

Each measurement has a process of its own. Exit status 1 where a figure that the project promises
is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from unetrt.errors import CheckFailed

from .processes import run_child
from .verdicts import Verdict, report

__all__ = ["judge", "main", "measure_training"]

_THROUGHPUT, _MEMORY = 0.85, 8 * 2**30
_TIMEOUT_S = 900


def measure_training(
    *, options: dict[str, tuple[str, ...]] | None = None, timeout_s: float = _TIMEOUT_S
) -> dict[str, Any]:
    """Run both children; return their raw results.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    measured = {}
    for what in ("input", "memory"):
        with tempfile.TemporaryDirectory() as folder:
            words = (what, *(options or {}).get(what, ()))
            done = run_child("unetrt.benchmarks.jobs.training", words, Path(folder), timeout_s)
        if done.failure is not None:
            raise CheckFailed(f"The job training {what} failed", got=done.failure)
        measured[what] = done.found
    return measured


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    cost, memory = measured["input"], measured["memory"]
    pairs = zip(cost["seconds"]["cached"], cost["seconds"]["augmented"], strict=True)
    throughput = median(cached / augmented for cached, augmented in pairs)
    step_ms = 1000 * median(cost["seconds"]["augmented"]) / cost["steps"]
    return [
        Verdict(
            f"steps a second with full augmentation: at least {_THROUGHPUT:g} of those with "
            "cached batches",
            f"{throughput:.3f} ({step_ms:.0f} ms a step; drawing a batch takes "
            f"{1000 * cost['draw_seconds']:.0f} ms of one core)",
            throughput >= _THROUGHPUT,
        ),
        Verdict(
            f"{memory['parameters'] / 1e6:.1f} M parameters, batch {memory['batch']} of "
            f"{memory['crop']} x {memory['crop']}: less than {_MEMORY / 2**30:g} GiB",
            f"{memory['peak_rss_bytes'] / 2**30:.2f} GiB",
            memory["peak_rss_bytes"] < _MEMORY,
        ),
    ]


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="What training costs.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", default="brain")
    given = parser.parse_args()
    measured = measure_training(options={"input": ("--data", given.data)})
    return report(judge(measured), measured, given.out)


if __name__ == "__main__":
    sys.exit(main())
