"""One conversion of one network to ONNX, timed, in a process of its own.

    python -m unetrt.benchmarks.jobs.export --exporter unetrt --network article --out FOLDER

The clock runs from a built model and loaded libraries to the file on the disk.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import tf2onnx.convert  # noqa: F401  (both exporters would load it while the clock runs)
from numpy.typing import NDArray

from unetrt.convert.to_onnx import export_onnx

from .memory import peak_rss_bytes, rss_bytes, start_peak
from .networks import CHANNELS, NETWORKS, build_network

__all__ = ["EXPORTERS", "main", "run"]

_CHECKED_SIDE = 256


def _by_keras(model: keras.Model, path: Path) -> None:
    model.export(path, format="onnx", verbose=False)


EXPORTERS: dict[str, Callable[[keras.Model, Path], object]] = {
    "unetrt": export_onnx,
    "keras": _by_keras,
}


def run(exporter: str, network: str, side: int | None, folder: Path) -> dict[str, Any]:
    """Convert once; return seconds, bytes of memory, node counts, difference from Keras."""
    model = build_network(network, side)
    model(_image(), training=False)  # Keras exports no model that was never called
    path = folder / "model.onnx"
    peak_before = peak_rss_bytes()
    start_peak()
    before = rss_bytes()
    began, worked = time.perf_counter(), time.process_time()
    EXPORTERS[exporter](model, path)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
    peak = peak_rss_bytes()
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "rss_before_bytes": before,
        "peak_rss_bytes": max(peak, peak_before),
        "conversion_peak_rss_bytes": peak,
        "onnx_bytes": path.stat().st_size,
        "parameters": int(model.count_params()),
        "nodes": dict(Counter(n.op_type for n in onnx.load(path).graph.node).most_common()),
        "difference": _difference(model, path),
    }


def _image() -> NDArray[np.float32]:
    shape = (1, _CHECKED_SIDE, _CHECKED_SIDE, CHANNELS)
    return np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)


def _difference(model: keras.Model, path: Path) -> float:
    """Return the largest difference of a probability on one random image."""
    image = _image()
    expected = np.asarray(model(image, training=False))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {session.get_inputs()[0].name: image})
    return float(np.abs(given - expected).max())


def main() -> None:
    """Convert as the command line says, and write FOLDER/result.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--exporter", choices=sorted(EXPORTERS), required=True)
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--side", type=int)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    result = run(given.exporter, given.network, given.side, given.out)
    (given.out / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
