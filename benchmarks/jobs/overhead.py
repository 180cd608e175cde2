"""`Session.run` beside the bare library on one file, taking turns in a process of its own.

    python -m unetrt.benchmarks.jobs.overhead MODEL --backend onnxruntime --out FOLDER

Two bare sessions run, so that it is seen how far two that are the same are apart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import CheckFailed
from unetrt.runtime import SessionSpec, open_session

from ..candidates import CallCandidate
from ..measure import Plan, measure
from ..random_image import random_image

__all__ = ["BARE", "main", "run"]

Run = Callable[[NDArray[Any]], NDArray[Any]]


def _bare_onnxruntime(model: OnnxModel, threads: int | None) -> Run:
    ort = vendor.onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = ort.InferenceSession(
        str(model.path), sess_options=options, providers=["CPUExecutionProvider"]
    )
    given, wanted = model.inputs[0].name, [model.outputs[0].name]
    return lambda x: session.run(wanted, {given: x})[0]


def _bare_openvino(model: OnnxModel, threads: int | None) -> Run:
    """Run on inputs and give answers where they lie, without a copy: nothing does less."""
    ov = vendor.openvino()
    config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    request = ov.Core().compile_model(str(model.path), "CPU", config).create_infer_request()
    given, wanted = model.inputs[0].name, model.outputs[0].name
    return lambda x: request.infer({given: x}, share_inputs=True, share_outputs=True)[wanted]


BARE: dict[str, Callable[[OnnxModel, int | None], Run]] = {
    "onnxruntime": _bare_onnxruntime,
    "openvino": _bare_openvino,
}


def run(model: OnnxModel, backend: str, side: int, threads: int | None, plan: Plan) -> Any:
    """Return the nanoseconds of each call, by who was called.

    Raises:
        CheckFailed: the session and the bare library answer differently.
    """
    x = random_image(model, side)
    with open_session(model, SessionSpec(backend=backend, threads=threads)) as session:
        calls: dict[str, Run] = {
            "bare": BARE[backend](model, threads),
            "session": session.run,
            "bare again": BARE[backend](model, threads),
        }
        if not np.array_equal(session.run(x), calls["bare"](x)):
            raise CheckFailed(f"The session and bare {backend} answer differently")
        taken = measure([CallCandidate(name, call, x) for name, call in calls.items()], plan)
        info = session.info
    return {
        "session": info,
        "shape": list(x.shape),
        "latency_ns": {name: samples.host_ns for name, samples in taken.items()},
    }


def main() -> None:
    """Measure as the command line says, and write FOLDER/result.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--backend", choices=sorted(BARE), required=True)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    plan = Plan(samples=given.samples, run_length=5)
    model = OnnxModel.load(given.model)
    result = run(model, given.backend, given.side, given.threads, plan)
    (given.out / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
