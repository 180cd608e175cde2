"""Compare `Session.run` with the bare library under it, on the article's network and on others.

    python -m unetrt.benchmarks.promises.overhead demo-out/model.fp32.onnx --out FILE

Each library and network has a process of its own.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import CheckFailed
from unetrt.runtime import SessionSpec, open_session

from ..candidates import CallCandidate
from ..measure import MeasureSpec, measure
from ..networks.skeletons import fill_skeleton
from .random_image import random_image
from .runner import Verdict, report, run_in_child, run_script, script_parser

__all__ = ["BARE", "judge", "main", "measure_overhead", "time_overhead"]

_MOST = 1.03

Run = Callable[[NDArray[Any]], NDArray[Any]]


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = script_parser(__doc__)
    parser.add_argument("models", type=Path, nargs="*", help="ONNX files beside the article's")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--samples", type=int, default=100, help="calls of each")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        article = Path(folder, "model.onnx")
        fill_skeleton("article", article, height=given.side, width=given.side)
        models = {"article": article, **{path.name: path for path in given.models}}
        measured = measure_overhead(models, side=given.side, samples=given.samples)
    return report(judge(measured), {"networks": measured}, given.out)


def measure_overhead(
    models: dict[str, Path],
    *,
    side: int,
    samples: int,
    backends: tuple[str, ...] = ("onnxruntime", "openvino"),
) -> dict[str, Any]:
    """Return the raw results of each network on each backend.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    return {
        name: {
            backend: run_in_child(
                partial(time_overhead, model=str(path), backend=backend, side=side, samples=samples)
            )
            for backend in backends
        }
        for name, path in models.items()
    }


def time_overhead(*, model: str, backend: str, side: int, samples: int) -> dict[str, Any]:
    """Time a session and the bare library in turns, in a child; return nanoseconds of each call.

    Two bare sessions run, which shows by how much two that are the same differ.

    Raises:
        CheckFailed: the session and the bare library give different outputs.
    """
    network = OnnxModel.load(Path(model))
    x = random_image(network, side)
    with open_session(network, SessionSpec(backend=backend)) as session:
        calls: dict[str, Run] = {
            "bare": BARE[backend](network),
            "session": session.run,
            "bare again": BARE[backend](network),
        }
        if not np.array_equal(session.run(x), calls["bare"](x)):
            raise CheckFailed(f"The session and bare {backend} give different outputs")
        candidates = [CallCandidate(name, call, x) for name, call in calls.items()]
        taken = measure(candidates, MeasureSpec(samples=samples, runs_per_round=5))
        info = session.info
    return {
        "session": info,
        "shape": list(x.shape),
        "latency_ns": {name: samples.host_ns for name, samples in taken.items()},
    }


def _bare_onnxruntime(model: OnnxModel) -> Run:
    ort = vendor.onnxruntime()
    options = ort.SessionOptions()
    session = ort.InferenceSession(
        str(model.path), sess_options=options, providers=["CPUExecutionProvider"]
    )
    given, wanted = model.inputs[0].name, [model.outputs[0].name]
    return lambda x: session.run(wanted, {given: x})[0]


def _bare_openvino(model: OnnxModel) -> Run:
    """Read inputs and leave outputs where they lie, without a copy: nothing does less."""
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    core = vendor.openvino().Core()
    request = core.compile_model(str(model.path), "CPU", config).create_infer_request()
    given, wanted = model.inputs[0].name, model.outputs[0].name
    return lambda x: request.infer({given: x}, share_inputs=True, share_outputs=True)[wanted]


BARE: dict[str, Callable[[OnnxModel], Run]] = {
    "onnxruntime": _bare_onnxruntime,
    "openvino": _bare_openvino,
}
"""Opens a network by each library's own calls."""


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    verdicts = []
    for name, by_backend in measured.items():
        for backend, found in by_backend.items():
            ns = found["latency_ns"]
            bare, again = median(ns["bare"]), median(ns["bare again"])
            both = median([*ns["bare"], *ns["bare again"]])
            ratio = median(ns["session"]) / both
            verdicts.append(
                Verdict(
                    f"{name}, {backend}, {' x '.join(map(str, found['shape']))}: the median "
                    f"Session.run takes at most {_MOST:g} times the bare library's",
                    f"{ratio:.3f} times {both / 1e6:.2f} ms (one bare session against another "
                    f"{again / bare:.3f}; {len(ns['session'])} calls each)",
                    ratio <= _MOST,
                )
            )
    return verdicts


if __name__ == "__main__":
    sys.exit(run_script(main))
