"""What reading and writing files costs beside the network, over a folder of images.

    python -m unetrt.benchmarks.folder demo-out/model.fp32.onnx FOLDER --out FILE

The model is that of `make demo`, or any of as many channels as the images.
Exit status 1 where a figure that the project promises is missed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from typing import Any

from .processes import run_job
from .verdicts import Verdict, report

__all__ = ["judge", "main", "measure_folder"]

_SHARE, _SHARE_ON_GPU = 0.85, 0.95
_TIMEOUT_S = 3600


def measure_folder(model: Path, folder: Path, *, repeats: int, backend: str) -> dict[str, Any]:
    """Return the raw results.

    Raises:
        CheckFailed: the child failed; holds its words.
    """
    words = (str(model), str(folder), "--repeats", str(repeats), "--backend", backend)
    return run_job("folder", words, timeout_s=_TIMEOUT_S)


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    seconds, count, session = measured["seconds"], measured["images"], measured["session"]
    pairs = zip(seconds["memory"], seconds["files"], strict=True)
    share = median(alone / files for alone, files in pairs)
    wanted = _SHARE if session["device"] == "CPU" else _SHARE_ON_GPU
    work = zip(measured["cpu_seconds"]["memory"], measured["cpu_seconds"]["files"], strict=True)
    worked = median(alone / files for alone, files in work)
    rates = {name: count / median(taken) for name, taken in seconds.items()}
    return [
        Verdict(
            f"{count} images, files in and label files out: at least {wanted:g} of the images per "
            "second of inference alone",
            f"{share:.3f} ({rates['files']:.1f} against {rates['memory']:.1f} images per second, "
            f"{session['backend']} on {session['device']}, {len(seconds['files'])} times each; "
            f"of the CPU time {worked:.3f})",
            share >= wanted,
        )
    ]


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="What files cost beside the network.")
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path, help="images, all of which are segmented")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    measured = measure_folder(
        given.model, given.folder, repeats=given.repeats, backend=given.backend
    )
    return report(judge(measured), measured, given.out)


if __name__ == "__main__":
    sys.exit(main())
