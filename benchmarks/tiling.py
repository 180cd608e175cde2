"""What tiles cost: pixels seen twice, time, memory, and whether any seam shows.

    python -m unetrt.benchmarks.tiling demo-out/model.fp32.onnx --monai-python PYTHON --out FILE

The model is that of `make demo`; the interpreter, that of an environment of its own:

    python -m venv peers
    peers/bin/pip install -c constraints/cpu.txt -c constraints/peers.txt -e '.[cpu,peers]'

Each measurement has a process of its own. Exit status 1 where a figure that the project promises
is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from unetrt.artifacts import OnnxModel

from .processes import run_job
from .verdicts import Verdict, report

__all__ = ["judge", "main", "measure_tiling", "needed_overlap"]

_SEAM = 1e-5
_MEMORY = 1.5 * 2**30
_TIMEOUT_S = 3600
_ROWS = 256
_MONAI = {"monai": "by default", "monai_exact": "with the overlap that our tiles have"}


def measure_tiling(
    path: Path, *, side: int, tile: int, large: int, gib: float, monai_python: Path
) -> dict[str, Any]:
    """Run all children; return their raw results, and how far tiles part from the whole.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    measured: dict[str, Any] = {"side": side, "large": large, "gib": gib}
    size = ("--side", str(side))
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)

        def run(what: str, job: str, *words: str, python: Path | None = None) -> None:
            folder = top / what
            folder.mkdir()
            measured[what] = run_job(job, words, timeout_s=_TIMEOUT_S, folder=folder, python=python)
            answer = folder / "answer.npy"
            if what != "whole" and answer.exists():
                measured[what] |= _parted(answer, top / "whole" / "answer.npy")
                answer.unlink()

        run("whole", "tiles", "whole", str(path), *size)
        run("square", "tiles", "square", str(path), *size, "--tile", str(tile))
        run("chosen", "tiles", "chosen", str(path), *size, "--gib", str(gib))
        if _has_monai(monai_python):
            square = (str(path), *size, "--tile", str(tile))
            run("monai", "sliding_window", *square, python=monai_python)
            overlap = needed_overlap(OnnxModel.load(path), tile)
            if overlap is not None:
                more = ("--overlap", str(overlap))
                run("monai_exact", "sliding_window", *square, *more, python=monai_python)
        run("file", "tiles", "file", str(path), "--side", str(large), "--gib", str(gib / 2))
    return measured


def needed_overlap(model: OnnxModel, tile: int) -> float | None:
    """Return the share of a tile by which MONAI's must overlap to be as far apart as ours are.

    Then each pixel is in some tile out of reach of its edges, and all tiles begin where the
    network's strides do. None where no tile of that side is that large.
    """
    field, multiple = model.receptive_field, model.sizes.multiple
    looks = max(before + after for before, after in zip(field.before, field.after, strict=True))
    step = (tile - looks) // multiple * multiple
    if step < 1 or not field.is_bounded:
        return None
    return 1 - (step + 0.5) / tile  # MONAI's step is what is left of the tile, rounded down


def _has_monai(python: Path) -> bool:
    command = [str(python), "-c", "import monai.inferers, torch"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _parted(tiled: Path, whole: Path) -> dict[str, Any]:
    """Return the largest difference of a probability, and how many labels differ."""
    one, other = np.load(tiled, mmap_mode="r"), np.load(whole, mmap_mode="r")
    largest, labels = 0.0, 0
    for top in range(0, len(one), _ROWS):
        a, b = one[top : top + _ROWS], other[top : top + _ROWS]
        largest = max(largest, float(np.abs(a - b).max()))
        labels += int(np.count_nonzero(a.argmax(-1) != b.argmax(-1)))
    return {"largest_difference": largest, "labels_that_differ": labels}


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises; MONAI's beside ours, which are not."""
    side, verdicts = measured["side"], []
    for what in ("square", "chosen"):
        found = measured[what]
        tall, wide = found["tile"]
        verdicts.append(
            Verdict(
                f"{side} x {side} in tiles of {tall} x {wide} gives what the whole gives, to "
                f"{_SEAM:g}",
                _told(found, measured["whole"]),
                found["largest_difference"] < _SEAM,
            )
        )
    for what, which in _MONAI.items():
        name = f"{side} x {side} by MONAI's SlidingWindowInferer {which}"
        if what not in measured:
            missing = "no such overlap" if "monai" in measured else "MONAI is not installed"
            verdicts.append(Verdict(name, f"not measured: {missing}", None))
            continue
        found = measured[what]
        name += (
            f", tiles of {found['tile'][0]} x {found['tile'][1]}, overlap {found['overlap']:.3f}"
        )
        verdicts.append(Verdict(name, _told(found, measured["whole"]), None))
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


def _told(found: dict[str, Any], whole: dict[str, Any]) -> str:
    return (
        f"{found['largest_difference']:.1e}, {found['labels_that_differ']} labels differ; "
        f"{found['pixels_seen_per_pixel']:.2f} pixels seen a pixel, "
        f"{found['seconds'] / whole['seconds']:.2f} times the time of the whole "
        f"({found['seconds']:.1f} s), peak {found['peak_rss_bytes'] / 2**30:.2f} against "
        f"{whole['peak_rss_bytes'] / 2**30:.2f} GiB"
    )


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = argparse.ArgumentParser(description="What tiles cost.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--large", type=int, default=20_000)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--monai-python", type=Path, default=Path(sys.executable))
    given = parser.parse_args()
    measured = measure_tiling(
        given.model,
        side=given.side,
        tile=given.tile,
        large=given.large,
        gib=given.gib,
        monai_python=given.monai_python,
    )
    return report(judge(measured), measured, given.out)


if __name__ == "__main__":
    sys.exit(main())
