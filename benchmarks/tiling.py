"""What tiles cost: pixels seen twice, time, memory, and whether any seam shows.

    python -m unetrt.benchmarks.tiling demo-out/model.fp32.onnx --out FILE

The model is that of `make demo`.
Each measurement has a process of its own. Exit status 1 where a figure that the project promises
is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from unetrt.errors import CheckFailed

from .children import run_child
from .verdicts import Verdict, report

__all__ = ["judge", "main", "measure_tiling"]

_JOB = "unetrt.benchmarks.jobs.tiles"
_SEAM = 1e-5
_MEMORY = 1.5 * 2**30
_TIMEOUT_S = 3600
_ROWS = 256


def measure_tiling(model: Path, *, side: int, tile: int, large: int, gib: float) -> dict[str, Any]:
    """Run all children; return their raw results, and how far tiles part from the whole.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    measured: dict[str, Any] = {"side": side, "large": large, "gib": gib}
    size = ("--side", str(side))
    options = {
        "whole": size,
        "square": (*size, "--tile", str(tile)),
        "chosen": (*size, "--gib", str(gib)),
        "file": ("--side", str(large), "--gib", str(gib / 2)),
    }
    with tempfile.TemporaryDirectory() as temporary:
        for what, words in options.items():
            folder = Path(temporary) / what
            folder.mkdir()
            done = run_child(_JOB, (what, str(model), *words), folder, _TIMEOUT_S)
            if done.failure is not None:
                raise CheckFailed(f"The job tiles {what} failed", got=done.failure)
            measured[what] = done.found
            if what in ("square", "chosen"):
                measured[what] |= _parted(folder / "answer.npy", Path(temporary) / "whole")
                (folder / "answer.npy").unlink()
    return measured


def _parted(tiled: Path, whole: Path) -> dict[str, Any]:
    """Return the largest difference of a probability, and how many labels differ."""
    one, other = np.load(tiled, mmap_mode="r"), np.load(whole / "answer.npy", mmap_mode="r")
    largest, labels = 0.0, 0
    for top in range(0, len(one), _ROWS):
        a, b = one[top : top + _ROWS], other[top : top + _ROWS]
        largest = max(largest, float(np.abs(a - b).max()))
        labels += int(np.count_nonzero(a.argmax(-1) != b.argmax(-1)))
    return {"largest_difference": largest, "labels_that_differ": labels}


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    verdicts = []
    for what in ("square", "chosen"):
        found = measured[what]
        tall, wide = found["tile"]
        ratio = found["seconds"] / measured["whole"]["seconds"]
        verdicts.append(
            Verdict(
                f"{measured['side']} x {measured['side']} in tiles of {tall} x {wide} gives what "
                f"the whole gives, to {_SEAM:g}",
                f"{found['largest_difference']:.1e}, {found['labels_that_differ']} labels differ; "
                f"{found['pixels_seen_per_pixel']:.2f} pixels seen a pixel, {ratio:.2f} times the "
                f"time of the whole ({found['seconds']:.1f} s), peak "
                f"{found['peak_rss_bytes'] / 2**30:.2f} against "
                f"{measured['whole']['peak_rss_bytes'] / 2**30:.2f} GiB",
                found["largest_difference"] < _SEAM,
            )
        )
    large = measured["file"]
    verdicts.append(
        Verdict(
            f"{measured['large']} x {measured['large']} TIFF to label Zarr: at most "
            f"{_MEMORY / 2**30:g} GiB",
            f"{large['peak_rss_bytes'] / 2**30:.2f} GiB, {large['seconds']:.0f} s, "
            f"{large['tiles']} tiles of {large['tile'][0]} x {large['tile'][1]}",
            large["peak_rss_bytes"] <= _MEMORY,
        )
    )
    return verdicts


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="What tiles cost.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--large", type=int, default=20_000)
    parser.add_argument("--gib", type=float, default=1.0)
    given = parser.parse_args()
    measured = measure_tiling(
        given.model, side=given.side, tile=given.tile, large=given.large, gib=given.gib
    )
    return report(judge(measured), measured, given.out)


if __name__ == "__main__":
    sys.exit(main())
