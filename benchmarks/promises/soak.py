"""Run and open sessions many times: memory must not grow, threads must not change an output.

    python -m unetrt.benchmarks.promises.soak --out FILE

A tiny network is run ten thousand times and opened a hundred times, each library in a process of
its own. Needs the extra `train`, to make the network; `--model` takes another.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.runtime import Session, SessionSpec, open_session

from .memory import rss_bytes
from .random_image import random_image
from .runner import Verdict, report, run_in_child, run_script, script_parser

__all__ = ["export_tiny", "judge", "main", "measure_soak", "soak_backend"]

_GROWTH = 8 * 2**20
"""Bytes: allocators keep some; a leak of 1 kB a run would show."""

_SIDE = 64
_THREADS = 8
_IMAGES = 16


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = script_parser(__doc__)
    parser.add_argument("--model", type=Path, help="ONNX file; a tiny U-Net if none is given")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--openings", type=int, default=110)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or Path(folder, "model.onnx")
        if given.model is None:
            run_in_child(partial(export_tiny, path=str(model)))
        measured = measure_soak(model, runs=given.runs, openings=given.openings)
    return report(judge(measured), {"backends": measured}, given.out)


def measure_soak(
    model: Path,
    *,
    runs: int,
    openings: int,
    backends: tuple[str, ...] = ("onnxruntime", "openvino"),
) -> dict[str, Any]:
    """Return the raw results of each library.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    return {
        backend: run_in_child(
            partial(soak_backend, model=str(model), backend=backend, runs=runs, openings=openings)
        )
        for backend in backends
    }


def export_tiny(*, path: str) -> dict[str, Any]:
    """Write a U-Net, in a child; its few weights, allocated anew at each opening, hide no leak."""
    vendor.keras().utils.set_random_seed(0)
    from unetrt.builder import UNetSpec, build_unet
    from unetrt.convert.to_onnx import export_onnx

    spec = UNetSpec(shape=(None, None, 1), n_classes=2, filters=(4, 8), bottleneck=16)
    return {"sha256": export_onnx(build_unet(spec), Path(path)).sha256}


def soak_backend(*, model: str, backend: str, runs: int, openings: int) -> dict[str, Any]:
    """Run and open sessions, in a child; return what it held after a tenth and after all of them.

    Outputs of several threads are compared with those of one.
    """
    network, spec = OnnxModel.load(Path(model)), SessionSpec(backend=backend)
    x = [random_image(network, _SIDE, seed=seed) for seed in range(_IMAGES)]

    def open_and_run() -> None:
        with open_session(network, spec) as opened:
            opened.run(x[0])

    with open_session(network, spec) as session:
        found = {
            "session": session.info,
            "shape": list(x[0].shape),
            "runs": _before_and_after(lambda: session.run(x[0]), runs),
            "threads": _by_threads(session, x, runs // 10),
        }
    return found | {"openings": _before_and_after(open_and_run, openings)}


def _before_and_after(act: Callable[[], object], count: int) -> dict[str, Any]:
    """Return what is held after a tenth of `count` calls of `act`, and after all of them."""
    first = count // 10
    for _ in range(first):
        act()
    before = _held()
    for _ in range(count - first):
        act()
    return {"first": first, "count": count, "before": before, "after": _held()}


def _held() -> dict[str, int]:
    gc.collect()
    return {
        "rss_bytes": rss_bytes(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
    }


def _by_threads(session: Session, x: list[NDArray[Any]], runs: int) -> dict[str, int]:
    """Return how many of the threads' outputs have another bit than one thread's."""
    alone = [session.run(image) for image in x]

    def differs(number: int) -> bool:
        output = session.run(x[number % len(x)])
        return output.tobytes() != alone[number % len(x)].tobytes()

    with ThreadPoolExecutor(_THREADS) as pool:
        different = sum(pool.map(differs, range(runs)))
    return {"threads": _THREADS, "runs": runs, "different": different}


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
                f"{threads['different']} of {threads['runs']} outputs differ",
                threads["different"] == 0 and threads["runs"] > 0,
            )
        )
    return verdicts


if __name__ == "__main__":
    sys.exit(run_script(main))
