"""How much faster `precision="fast"` is on a CPU than Keras, and what it costs in Dice.

    python -m unetrt.benchmarks.fast --data FOLDER --out FILE

The article's network is first trained for some minutes on the data, so that a Dice means something.
Keras and the session have a process each and take turns. Needs the extras `train` and `openvino`.
Exit status 1 where a figure that the project promises is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from .processes import QUIET, Worker, run_job
from .verdicts import Verdict, report

__all__ = ["judge", "main", "measure_fast"]

_FASTER, _DICE = 2.5, 1e-3
_TIMEOUT_S = 1800
_TURN = 5
_BETTER_THAN_NOTHING = 0.5


def measure_fast(
    *,
    data: str,
    training: tuple[str, ...],
    turns: int,
    precision: str = "fast",
    turn: int = _TURN,
) -> dict[str, Any]:
    """Train, then time both in turns of random order; return the raw results.

    Each turn is two calls that are not timed, then `turn` that are.

    Raises:
        CheckFailed: the training failed; holds its words.
        WorkerFailed: one of both did.
    """
    measured: dict[str, Any] = {"data": data, "precision": precision}
    order = random.Random(0)  # noqa: S311  (an order, not a secret)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        words = ("train", "--data", data, *training)
        measured["trained"] = run_job("fast", words, timeout_s=_TIMEOUT_S, folder=folder)
        same = ("--data", data, "--out", temporary)
        workers = {
            "keras": stack.enter_context(_worker(folder, "keras", same)),
            "session": stack.enter_context(
                _worker(folder, "session", (*same, "--precision", precision))
            ),
        }
        for name, worker in workers.items():
            dice = worker.ask("dice", timeout_s=_TIMEOUT_S)
            measured[name] = worker.opened | {"dice": dice, "latency_ns": []}
        for _ in range(turns):
            for name in order.sample(sorted(workers), len(workers)):
                ask = workers[name].ask
                ask("turn", count=2, timeout_s=_TIMEOUT_S)  # wakes threads, fills caches
                taken = ask("turn", count=turn, timeout_s=_TIMEOUT_S)
                measured[name]["latency_ns"].append(taken)
    return measured


def _worker(folder: Path, what: str, words: tuple[str, ...]) -> Worker:
    return Worker(
        [sys.executable, "-m", "unetrt.benchmarks.jobs.fast", what, *words],
        name=f"The job fast {what}",
        log=folder / f"{what}.txt",
        timeout_s=_TIMEOUT_S,
        environment=QUIET,
    )


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    keras, session = measured["keras"], measured["session"]
    pairs = zip(keras["latency_ns"], session["latency_ns"], strict=True)
    faster = median(median(slow) / median(fast) for slow, fast in pairs)
    ms = {
        name: median(ns for turn in measured[name]["latency_ns"] for ns in turn) / 1e6
        for name in ("keras", "session")
    }
    dice = {name: (keras["dice"][name], session["dice"][name]) for name in keras["dice"]}
    apart = max(abs(one - other) for one, other in dice.values())
    learned = min(one for one, _ in dice.values())
    return [
        Verdict(
            f"{measured['trained']['parameters'] / 1e6:.1f} M parameters, "
            f"{' x '.join(map(str, session['shape']))}, precision {measured['precision']!r}: at "
            f"least {_FASTER:g} times faster than keras.Model.predict_on_batch",
            f"{faster:.2f} times ({ms['session']:.1f} against {ms['keras']:.1f} ms; "
            f"{session['info']['backend']} computes in {session['info']['computes_in']})",
            faster >= _FASTER,
        ),
        Verdict(
            f"its Dice on the test images within {_DICE:g} of Keras', once the network has learned",
            f"{apart:.5f} ("
            + ", ".join(f"{name} {one:.4f} and {other:.4f}" for name, (one, other) in dice.items())
            + ")",
            apart <= _DICE and learned >= _BETTER_THAN_NOTHING,
        ),
    ]


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="How much faster a fast session is than Keras.")
    parser.add_argument("--data", default="brain")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training")
    parser.add_argument("--turns", type=int, default=20, help="of each")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    measured = measure_fast(
        data=given.data, training=("--minutes", str(given.minutes)), turns=given.turns
    )
    return report(judge(measured), measured, given.out)


if __name__ == "__main__":
    sys.exit(main())
