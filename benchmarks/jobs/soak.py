"""One session run and opened many times: what it keeps, and what threads get from it.

python -m unetrt.benchmarks.jobs.soak MODEL --backend openvino --runs 10000 --out FOLDER
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel
from unetrt.runtime import Session, SessionSpec, open_session

from ..random_image import random_image
from .memory import rss_bytes

__all__ = ["held", "main", "run"]

_THREADS = 8
_IMAGES = 16


def held() -> dict[str, int]:
    """Return what this process holds now: resident bytes, open descriptors, threads."""
    gc.collect()
    return {
        "rss_bytes": rss_bytes(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
    }


def _before_and_after(act: Callable[[], object], first: int, count: int) -> dict[str, Any]:
    """Return what is held once `act` was called `first` times, and once it was `count` times."""
    for _ in range(first):
        act()
    before = held()
    for _ in range(count - first):
        act()
    return {"first": first, "count": count, "before": before, "after": held()}


def run(model: OnnxModel, backend: str, side: int, runs: int, openings: int) -> dict[str, Any]:
    """Return what a session holds after a tenth of its runs and after all; openings likewise."""
    spec = SessionSpec(backend=backend)
    x = [random_image(model, side, seed=seed) for seed in range(_IMAGES)]

    def open_and_run() -> None:
        with open_session(model, spec) as opened:
            opened.run(x[0])

    with open_session(model, spec) as session:
        found = {
            "session": session.info,
            "shape": list(x[0].shape),
            "runs": _before_and_after(lambda: session.run(x[0]), runs // 10, runs),
            "threads": _by_threads(session, x, runs // 10),
        }
    return found | {"openings": _before_and_after(open_and_run, openings // 10, openings)}


def _by_threads(session: Session, x: list[NDArray[Any]], runs: int) -> dict[str, int]:
    """Return how many of the threads' answers have another bit than one thread's."""
    alone = [session.run(image) for image in x]

    def differs(number: int) -> bool:
        answer = session.run(x[number % len(x)])
        return answer.tobytes() != alone[number % len(x)].tobytes()

    with ThreadPoolExecutor(_THREADS) as pool:
        different = sum(pool.map(differs, range(runs)))
    return {"threads": _THREADS, "runs": runs, "different": different}


def main() -> None:
    """Measure as the command line says, and write FOLDER/result.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--backend", required=True)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--openings", type=int, default=110)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    model = OnnxModel.load(given.model)
    result = run(model, given.backend, given.side, given.runs, given.openings)
    (given.out / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
