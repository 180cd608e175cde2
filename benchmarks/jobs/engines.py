"""Engines of one ONNX file, in float32 and float16, each build timed.

    python -m unetrt.benchmarks.jobs.engines --onnx FILE --out FOLDER

The clock runs from the ONNX file on the disk to the engine on the disk.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import onnx  # noqa: F401  (build_engine would load it while the clock runs)

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.convert.precision import PrecisionSpec, to_precision
from unetrt.convert.to_engine import EngineSpec, build_engine

__all__ = ["main", "run"]


def run(model: OnnxModel, folder: Path, repeats: int) -> dict[str, Any]:
    """Return, for each precision, the seconds of each build, the engine's bytes and its receipt."""
    vendor.tensorrt("tensorrt-rtx")
    half = to_precision(model, folder / "fp16.onnx", PrecisionSpec(precision="fp16"))
    models = {network.precision: network for network in (model, half)}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    engines = {}
    for _ in range(repeats):
        for name, source in models.items():
            began = time.perf_counter()
            engines[name] = build_engine(
                source, folder / f"{name}.engine", EngineSpec(backend="tensorrt-rtx")
            )
            seconds[name].append(time.perf_counter() - began)
    return {
        name: {
            "seconds": seconds[name],
            "bytes": engine.path.stat().st_size,
            "backend_version": engine.backend_version,
            "convolution_share": engine.receipt["convolution_share"],
        }
        for name, engine in engines.items()
    }


def main() -> None:
    """Build as the command line says, and write FOLDER/result.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    result = run(OnnxModel.load(given.onnx), given.out, given.repeats)
    (given.out / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
