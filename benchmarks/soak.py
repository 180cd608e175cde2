"""Whether sessions keep what they should give back, and whether threads get what one gets.

    python -m unetrt.benchmarks.soak --out FILE

Runs a small network ten thousand times and opens it a hundred times, each library in a process of
its own. Needs the extra `train`, to make the network; `--model` takes another.
Exit status 1 where a figure that the project promises is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from .processes import run_job
from .verdicts import Verdict, report

__all__ = ["judge", "main", "measure_soak"]

_GROWTH = 8 * 2**20
"""Bytes: allocators keep some; a leak of 1 kB a run would show."""

_BACKENDS = ("onnxruntime", "openvino")
_TIMEOUT_S = 1800


def measure_soak(
    model: Path, *, runs: int, openings: int, backends: tuple[str, ...] = _BACKENDS
) -> dict[str, Any]:
    """Return the raw results of each library.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    words = ("--runs", str(runs), "--openings", str(openings))
    return {
        backend: run_job("soak", (str(model), "--backend", backend, *words), timeout_s=_TIMEOUT_S)
        for backend in backends
    }


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    verdicts = []
    for backend, found in measured.items():
        for what, done in (("run", found["runs"]), ("opened and closed", found["openings"])):
            before, after = done["before"], done["after"]
            grown = after["rss_bytes"] - before["rss_bytes"]
            verdicts.append(
                Verdict(
                    f"{backend}, {what} {done['count']} times: memory grows by less than "
                    f"{_GROWTH >> 20} MiB after the first {done['first']}, descriptors and threads "
                    "by none",
                    f"{grown / 2**20:+.1f} MiB of {before['rss_bytes'] / 2**20:.0f}, descriptors "
                    f"{before['descriptors']} and {after['descriptors']}, threads "
                    f"{before['threads']} and {after['threads']}",
                    grown < _GROWTH
                    and after["descriptors"] <= before["descriptors"]
                    and after["threads"] <= before["threads"],
                )
            )
        threads = found["threads"]
        verdicts.append(
            Verdict(
                f"{backend}: {threads['threads']} threads get to the bit what one gets",
                f"{threads['different']} of {threads['runs']} answers differ",
                threads["different"] == 0 and threads["runs"] > 0,
            )
        )
    return verdicts


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="Whether sessions give back what they take.")
    parser.add_argument("--model", type=Path, help="ONNX file; a tiny U-Net if none is given")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--openings", type=int, default=110)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if given.model is None:
            made = ("--exporter", "unetrt", "--network", "tiny")
            run_job("export", made, timeout_s=_TIMEOUT_S, folder=folder)
        model = given.model or folder / "model.onnx"
        measured = measure_soak(model, runs=given.runs, openings=given.openings)
    return report(judge(measured), {"backends": measured}, given.out)


if __name__ == "__main__":
    sys.exit(main())
