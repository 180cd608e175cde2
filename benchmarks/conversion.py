"""How fast, how small and how right the conversion is, beside Keras' own.

    python -m unetrt.benchmarks.conversion --out benchmarks/results/cpu-2-cores/conversion.json

Each conversion has a process of its own; the exporters take turns. Exit status 1 where a figure
that the project promises is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from unetrt.errors import CheckFailed

from .processes import run_child
from .verdicts import Verdict, report

__all__ = ["Plan", "judge", "main", "measure_conversion"]

NODES = {"Conv": 23, "Relu": 22, "MaxPool": 5, "ConvTranspose": 5, "Concat": 5, "Softmax": 1}
"""The article's network, at free height and width."""

_MOST_TRANSPOSES = 2
_SPEED, _MEMORY, _DIFFERENCE, _ENGINE_S = 8.0, 0.5, 1e-5, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is converted, and how often.

    Attributes:
        network: "article", or "tiny" for tests.
        sides: height and width of the network; None leaves them free.
        repeats: conversions by each exporter at each side, and builds of each engine.
        timeout_s: after which a child is stopped.
    """

    network: str = "article"
    sides: tuple[int | None, ...] = (256, None)
    repeats: int = 3
    timeout_s: float = 400


def measure_conversion(plan: Plan, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Run all children of `plan`; return their raw results.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    began = time.monotonic()
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as top:
        for turn in range(plan.repeats):
            for side in plan.sides:
                for exporter in ("unetrt", "keras") if turn % 2 == 0 else ("keras", "unetrt"):
                    folder = Path(top, f"{exporter}-{side or 'free'}")
                    folder.mkdir(exist_ok=True)
                    size = () if side is None else ("--side", str(side))
                    run = _child(
                        "export",
                        ("--exporter", exporter, "--network", plan.network, *size),
                        folder,
                        plan.timeout_s,
                    )
                    runs.append({"exporter": exporter, "side": side, **run})
                    say(f"{time.monotonic() - began:5.0f} s  {_shown(runs[-1])}")
        source = Path(top, f"unetrt-{plan.sides[-1] or 'free'}", "model.onnx")
        folder = Path(top, "engines")
        folder.mkdir()
        options = ("--onnx", str(source), "--repeats", str(plan.repeats))
        engines = _child("engines", options, folder, plan.timeout_s)
    for name, engine in engines.items():
        seconds = ", ".join(f"{s:.2f}" for s in engine["seconds"])
        say(f"{time.monotonic() - began:5.0f} s  engine in {name}: {seconds} s")
    return {"network": plan.network, "runs": runs, "engines": engines}


def judge(measured: dict[str, Any], sides: tuple[int | None, ...]) -> list[Verdict]:
    """Hold the results of the article's network against what the project promises."""
    verdicts = []
    for side in sides:
        where = "free size" if side is None else f"{side}x{side}"
        own, theirs = (_runs(measured, name, side) for name in ("unetrt", "keras"))
        speed = _median(theirs, "seconds") / _median(own, "seconds")
        work = _median(theirs, "cpu_seconds") / _median(own, "cpu_seconds")
        memory = _median(own, "peak_rss_bytes") / _median(theirs, "peak_rss_bytes")
        verdicts += [
            Verdict(
                f"{where}: at least {_SPEED:g} times faster than Keras",
                f"{speed:.1f} times ({_median(own, 'seconds'):.2f} s, "
                f"Keras {_median(theirs, 'seconds'):.1f} s; {work:.1f} times less CPU time)",
                speed >= _SPEED,
            ),
            Verdict(
                f"{where}: at most {_MEMORY:g} of Keras' peak memory",
                f"{memory:.2f} ({_median(own, 'peak_rss_bytes') / 2**30:.2f} GiB, "
                f"Keras {_median(theirs, 'peak_rss_bytes') / 2**30:.2f} GiB)",
                memory <= _MEMORY,
            ),
        ]
        worst = max(run["difference"] for run in own + theirs)
        verdicts.append(
            Verdict(
                f"{where}: both files give Keras' outputs to {_DIFFERENCE:g}",
                f"{worst:.1e}",
                worst <= _DIFFERENCE,
            )
        )
    nodes = _runs(measured, "unetrt", sides[-1])[0]["nodes"]
    counted = {name: nodes.get(name, 0) for name in NODES}
    others = {k: v for k, v in nodes.items() if k not in NODES and k != "Transpose"}
    transposes = nodes.get("Transpose", 0)
    verdicts.append(
        Verdict(
            f"nodes: {_listed(NODES)}, at most {_MOST_TRANSPOSES} Transpose, and no other",
            _listed(nodes),
            counted == NODES and transposes <= _MOST_TRANSPOSES and not others,
        )
    )
    for precision, engine in measured["engines"].items():
        seconds = median(engine["seconds"])
        verdicts.append(
            Verdict(
                f"engine in {precision}: at most {_ENGINE_S:g} s",
                f"{seconds:.2f} s",
                seconds <= _ENGINE_S,
            )
        )
    return verdicts


def _child(name: str, options: tuple[str, ...], folder: Path, timeout_s: float) -> dict[str, Any]:
    done = run_child(f"unetrt.benchmarks.jobs.{name}", options, folder, timeout_s)
    if done.failure is not None:
        raise CheckFailed(f"The job {name} {' '.join(options)} failed", got=done.failure)
    return done.found


def _runs(measured: dict[str, Any], exporter: str, side: int | None) -> list[dict[str, Any]]:
    return [r for r in measured["runs"] if (r["exporter"], r["side"]) == (exporter, side)]


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return float(median(run[name] for run in runs))


def _listed(nodes: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in nodes.items())


def _shown(run: dict[str, Any]) -> str:
    where = "free size" if run["side"] is None else f"{run['side']}x{run['side']}"
    own = run["peak_rss_bytes"] - run["rss_before_bytes"]
    return (
        f"{run['exporter']:6} {where:9} {run['seconds']:6.2f} s ({run['cpu_seconds']:.2f} s CPU), "
        f"peak {run['peak_rss_bytes'] / 2**30:5.2f} GiB (+{own / 2**30:.2f}), "
        f"{sum(run['nodes'].values())} nodes, differs by {run['difference']:.1e}"
    )


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="How the conversion does beside Keras' own.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=Plan().repeats)
    given = parser.parse_args()
    plan = Plan(repeats=given.repeats)
    measured = measure_conversion(plan)
    return report(judge(measured, plan.sides), measured, given.out)


if __name__ == "__main__":
    sys.exit(main())
