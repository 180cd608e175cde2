"""Compare segmenting a folder, files in and label files out, with inference alone.

    python -m unetrt.benchmarks.promises.folder demo-out/model.fp32.onnx FOLDER --out FILE

The model is that of `make demo`, or any of as many channels as the images.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from unetrt.data.reading import data_files, read_image
from unetrt.errors import CheckFailed
from unetrt.runtime import SessionSpec, open_session
from unetrt.runtime.predict import Prediction, pipelined

from .runner import Verdict, report, run_in_child, run_script, script_parser

__all__ = ["judge", "main", "segment_folder"]

_SHARE, _SHARE_ON_GPU = 0.85, 0.95


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = script_parser(__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path, help="images, all of which are segmented")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    measured = run_in_child(
        partial(
            segment_folder,
            model=str(given.model),
            folder=str(given.folder),
            backend=given.backend,
            repeats=given.repeats,
        )
    )
    return report(judge(measured), measured, given.out)


def segment_folder(*, model: str, folder: str, backend: str, repeats: int) -> dict[str, Any]:
    """Segment all images both ways in turns, in a child; return the seconds of each pass.

    Files go through what `unetrt predict --no-overlays` runs. Inference alone segments the same
    images, held in memory.

    Raises:
        CheckFailed: the files written are not the labels of the images.
    """
    paths = data_files(Path(folder))
    images = [read_image(path) for path in paths]
    spec = SessionSpec(backend=backend)
    with tempfile.TemporaryDirectory() as out, open_session(Path(model), spec) as session:
        written = Path(out, "files")
        job = Prediction(session, written, overlays=False, probabilities=False)
        labels: list[Any] = []

        def from_files() -> None:
            done = pipelined(paths, read=job.read, work=job.segment, write=job.write)
            failed = [result for _, result in done if isinstance(result, Exception)]
            if failed:
                raise failed[0]

        def alone() -> None:
            labels[:] = [session.segment(image) for image in images]

        ways = {"files": from_files, "memory": alone}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        worked: dict[str, list[float]] = {name: [] for name in ways}
        alone()  # warms up, each size
        order = random.Random(0)  # noqa: S311  (an order, not a secret)
        for _ in range(repeats):
            for name in order.sample(sorted(ways), len(ways)):
                shutil.rmtree(written, ignore_errors=True)
                began, cpu = time.perf_counter(), time.process_time()
                ways[name]()
                seconds[name].append(time.perf_counter() - began)
                worked[name].append(time.process_time() - cpu)
                if name == "files":
                    _check(written / "predictions", paths, labels)
        info = session.info
    return {
        "images": len(paths),
        "file_bytes": sum(path.stat().st_size for path in paths),
        "session": info,
        "cores": len(os.sched_getaffinity(0)),
        "seconds": seconds,
        "cpu_seconds": worked,
    }


def _check(folder: Path, paths: list[Path], labels: list[Any]) -> None:
    for path, label in zip(paths, labels, strict=True):
        written = read_image(folder / f"{path.stem}.png")[:, :, 0]
        if not np.array_equal(written, label):
            raise CheckFailed(f"The labels written of {path} are not those of the image")


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    seconds, worked = measured["seconds"], measured["cpu_seconds"]
    count, session = measured["images"], measured["session"]
    share, work = (_median_ratio(taken["memory"], taken["files"]) for taken in (seconds, worked))
    wanted = _SHARE if session["device"] == "CPU" else _SHARE_ON_GPU
    rates = {name: count / median(taken) for name, taken in seconds.items()}
    return [
        Verdict(
            f"{count} images, files in and label files out: at least {wanted:g} of the images per "
            "second of inference alone",
            f"{share:.3f} ({rates['files']:.1f} against {rates['memory']:.1f} images per second, "
            f"{session['backend']} on {session['device']}, {len(seconds['files'])} times each; "
            f"of the CPU time {work:.3f})",
            share >= wanted,
        )
    ]


def _median_ratio(one: list[float], other: list[float]) -> float:
    return median(a / b for a, b in zip(one, other, strict=True))


if __name__ == "__main__":
    sys.exit(run_script(main))
