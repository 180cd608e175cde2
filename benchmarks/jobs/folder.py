"""A folder of images: files in and label files out, and inference alone, in turn.

    python -m unetrt.benchmarks.jobs.folder MODEL FOLDER --repeats 7 --out FOLDER

Files go through what `unetrt predict --no-overlays` runs. Inference alone segments the same images,
held in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from unetrt.data.reading import data_files, read_image
from unetrt.errors import CheckFailed
from unetrt.runtime import Session, SessionSpec, open_session
from unetrt.runtime.predict import Prediction, pipelined

__all__ = ["main", "run"]


def run(session: Session, files: list[Path], repeats: int, out: Path) -> dict[str, Any]:
    """Return the seconds that each way took for all files, time after time.

    Raises:
        CheckFailed: the files written are not the labels of the images.
    """
    images = [read_image(path) for path in files]
    job = Prediction(session, out / "files", overlays=False, probabilities=False)
    labels: list[Any] = []

    def from_files() -> None:
        done = pipelined(files, read=job.read, work=job.segment, write=job.write)
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
            shutil.rmtree(out / "files", ignore_errors=True)
            began, cpu = time.perf_counter(), time.process_time()
            ways[name]()
            seconds[name].append(time.perf_counter() - began)
            worked[name].append(time.process_time() - cpu)
            if name == "files":
                _check(out / "files" / "predictions", files, labels)
    return {
        "images": len(files),
        "file_bytes": sum(path.stat().st_size for path in files),
        "session": session.info,
        "cores": len(os.sched_getaffinity(0)),
        "seconds": seconds,
        "cpu_seconds": worked,
    }


def _check(folder: Path, files: list[Path], labels: list[Any]) -> None:
    for path, label in zip(files, labels, strict=True):
        written = read_image(folder / f"{path.stem}.png")[:, :, 0]
        if not np.array_equal(written, label):
            raise CheckFailed(f"The labels written of {path} are not those of the image")


def main() -> None:
    """Measure as the command line says, and write FOLDER/result.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    files = data_files(given.folder)
    with open_session(given.model, SessionSpec(backend=given.backend)) as session:
        result = run(session, files, given.repeats, given.out)
    (given.out / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
