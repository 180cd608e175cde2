"""What `Session.run` adds to the library under it: the article's network at 256 x 256, and others.

    python -m unetrt.benchmarks.overhead demo-out/model.fp32.onnx --out FILE

Needs the extra `train`, to make the article's network. Each library and network has a process of
its own. Exit status 1 where a figure that the project promises is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from .processes import run_job
from .verdicts import Verdict, report

__all__ = ["judge", "main", "measure_overhead"]

_MOST = 1.03
_TIMEOUT_S = 1800
_BACKENDS = ("onnxruntime", "openvino")


def measure_overhead(
    models: dict[str, Path], *, side: int, samples: int, backends: tuple[str, ...] = _BACKENDS
) -> dict[str, Any]:
    """Return the raw results of each network on each backend.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    size = ("--side", str(side), "--samples", str(samples))
    return {
        name: {
            backend: run_job(
                "overhead", (str(path), "--backend", backend, *size), timeout_s=_TIMEOUT_S
            )
            for backend in backends
        }
        for name, path in models.items()
    }


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    verdicts = []
    for name, by_backend in measured.items():
        for backend, found in by_backend.items():
            ns = found["latency_ns"]
            bare, again = median(ns["bare"]), median(ns["bare again"])
            both = median([*ns["bare"], *ns["bare again"]])
            ratio = median(ns["session"]) / both
            verdicts.append(
                Verdict(
                    f"{name}, {backend}, {' x '.join(map(str, found['shape']))}: the median "
                    f"Session.run takes at most {_MOST:g} times the bare library's",
                    f"{ratio:.3f} times {both / 1e6:.2f} ms (one bare session against another "
                    f"{again / bare:.3f}; {len(ns['session'])} calls each)",
                    ratio <= _MOST,
                )
            )
    return verdicts


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="What Session.run adds to the library under it.")
    parser.add_argument("models", type=Path, nargs="*", help="ONNX files beside the article's")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--samples", type=int, default=100, help="calls of each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        made = ("--exporter", "unetrt", "--network", "article", "--side", str(given.side))
        run_job("export", made, timeout_s=_TIMEOUT_S, folder=folder)
        models = {"article": folder / "model.onnx", **{path.name: path for path in given.models}}
        measured = measure_overhead(models, side=given.side, samples=given.samples)
    return report(judge(measured), {"networks": measured}, given.out)


if __name__ == "__main__":
    sys.exit(main())
