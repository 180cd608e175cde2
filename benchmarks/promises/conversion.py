"""Compare the conversion to ONNX with Keras' own: time, memory, size of the graph, correctness.

    python -m unetrt.benchmarks.promises.conversion --out FILE

Each conversion has a process of its own; the exporters take turns. Needs the extras `train`, `cpu`
and `rtx`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from unetrt import vendor
from unetrt.artifacts import OnnxModel

from .memory import peak_rss_bytes, rss_bytes, start_peak
from .runner import Verdict, report, run_in_child, run_script, script_parser

__all__ = ["NODES", "build_engines", "convert_article", "judge", "main", "measure_conversion"]

NODES = {"Conv": 23, "Relu": 22, "MaxPool": 5, "ConvTranspose": 5, "Concat": 5, "Softmax": 1}
"""The article's network, at free height and width."""

_MOST_TRANSPOSES = 2
_SPEED, _MEMORY, _DIFFERENCE, _ENGINE_S = 8.0, 0.5, 1e-5, 2.0
_SIDES = (256, None)
"""Of the network's input; None leaves height and width free."""

_CHECKED_SIDE = 256


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = script_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    measured = measure_conversion(repeats=given.repeats)
    return report(judge(measured), measured, given.out)


def measure_conversion(*, repeats: int) -> dict[str, Any]:
    """Convert the article's network by each exporter and build its engines, `repeats` times.

    Raises:
        CheckFailed: a child failed; holds its words.
    """
    began = time.monotonic()
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(repeats):
            for side in _SIDES:
                for exporter in ("unetrt", "keras") if turn % 2 == 0 else ("keras", "unetrt"):
                    path = str(Path(folder, f"{exporter}.onnx"))
                    convert = partial(convert_article, exporter=exporter, side=side, path=path)
                    runs.append({"exporter": exporter, "side": side, **run_in_child(convert)})
                    sys.stdout.write(f"{time.monotonic() - began:5.0f} s  {_progress(runs[-1])}\n")
        build = partial(build_engines, path=str(Path(folder, "unetrt.onnx")), repeats=repeats)
        engines = run_in_child(build)
    for name, engine in engines.items():
        seconds = ", ".join(f"{s:.2f}" for s in engine["seconds"])
        sys.stdout.write(f"{time.monotonic() - began:5.0f} s  engine in {name}: {seconds} s\n")
    return {"network": "article", "runs": runs, "engines": engines}


def convert_article(*, exporter: str, side: int | None, path: str) -> dict[str, Any]:
    """Convert once, in a child; return seconds, bytes of memory, nodes, difference from Keras.

    The clock runs from a built model and loaded libraries to the file on the disk.
    """
    import keras
    import onnx
    import tf2onnx.convert  # noqa: F401  (both exporters would load it while the clock runs)

    from unetrt.builder import build_unet_model
    from unetrt.convert.to_onnx import export_onnx

    keras.utils.set_random_seed(0)
    model = build_unet_model((side, side, 1), 2)
    image = np.random.default_rng(0).uniform(0, 1, (1, _CHECKED_SIDE, _CHECKED_SIDE, 1))
    image = image.astype(np.float32)
    expected = np.asarray(model(image, training=False))  # Keras exports no model before a call
    peak_before = peak_rss_bytes()
    start_peak()
    before = rss_bytes()
    began, worked = time.perf_counter(), time.process_time()
    if exporter == "unetrt":
        export_onnx(model, Path(path))
    else:
        model.export(path, format="onnx", verbose=False)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
    peak = peak_rss_bytes()
    session = vendor.onnxruntime().InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: image})
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "rss_before_bytes": before,
        "peak_rss_bytes": max(peak, peak_before),
        "conversion_peak_rss_bytes": peak,
        "onnx_bytes": Path(path).stat().st_size,
        "parameters": int(model.count_params()),
        "nodes": dict(Counter(n.op_type for n in onnx.load(path).graph.node).most_common()),
        "difference": float(np.abs(output - expected).max()),
    }


def build_engines(*, path: str, repeats: int) -> dict[str, Any]:
    """Build engines in float32 and float16, in a child; return each build's seconds, and receipts.

    The clock runs from the ONNX file on the disk to the engine on the disk.
    """
    import onnx  # noqa: F401  (build_engine would load it while the clock runs)

    from unetrt.convert.precision import PrecisionSpec, to_precision
    from unetrt.convert.to_engine import EngineSpec, build_engine

    vendor.tensorrt("tensorrt-rtx")
    model, folder = OnnxModel.load(Path(path)), Path(path).parent
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
            "convolution_share": engine.receipt.convolution_share,
        }
        for name, engine in engines.items()
    }


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    verdicts = []
    for side in dict.fromkeys(run["side"] for run in measured["runs"]):
        size = _size(side)
        own, theirs = (_runs(measured, name, side) for name in ("unetrt", "keras"))
        speed = _median(theirs, "seconds") / _median(own, "seconds")
        work = _median(theirs, "cpu_seconds") / _median(own, "cpu_seconds")
        memory = _median(own, "peak_rss_bytes") / _median(theirs, "peak_rss_bytes")
        worst = float(np.max([run["difference"] for run in own + theirs]))  # NaN stays
        verdicts += [
            Verdict(
                f"{size}: at least {_SPEED:g} times faster than Keras",
                f"{speed:.1f} times ({_median(own, 'seconds'):.2f} s, "
                f"Keras {_median(theirs, 'seconds'):.1f} s; {work:.1f} times less CPU time)",
                speed >= _SPEED,
            ),
            Verdict(
                f"{size}: at most {_MEMORY:g} of Keras' peak memory",
                f"{memory:.2f} ({_median(own, 'peak_rss_bytes') / 2**30:.2f} GiB, "
                f"Keras {_median(theirs, 'peak_rss_bytes') / 2**30:.2f} GiB)",
                memory <= _MEMORY,
            ),
            Verdict(
                f"{size}: both files give Keras' outputs to {_DIFFERENCE:g}",
                f"{worst:.1e}",
                worst <= _DIFFERENCE,
            ),
        ]
    nodes = _runs(measured, "unetrt", None)[0]["nodes"]
    others = {name: count for name, count in nodes.items() if name != "Transpose"}
    verdicts.append(
        Verdict(
            f"nodes: {_listed(NODES)}, at most {_MOST_TRANSPOSES} Transpose, and no other",
            _listed(nodes),
            others == NODES and nodes.get("Transpose", 0) <= _MOST_TRANSPOSES,
        )
    )
    for precision, engine in measured["engines"].items():
        seconds = median(engine["seconds"])
        verdicts.append(
            Verdict(
                f"engine in {precision}: at most {_ENGINE_S:g} s",
                f"{seconds:.2f} s",
                seconds <= _ENGINE_S,
            )
        )
    return verdicts


def _runs(measured: dict[str, Any], exporter: str, side: int | None) -> list[dict[str, Any]]:
    return [r for r in measured["runs"] if (r["exporter"], r["side"]) == (exporter, side)]


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return float(median(run[name] for run in runs))


def _listed(nodes: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in nodes.items())


def _size(side: int | None) -> str:
    return "free size" if side is None else f"{side}x{side}"


def _progress(run: dict[str, Any]) -> str:
    own = run["peak_rss_bytes"] - run["rss_before_bytes"]
    return (
        f"{run['exporter']:6} {_size(run['side']):9} {run['seconds']:6.2f} s "
        f"({run['cpu_seconds']:.2f} s CPU), peak {run['peak_rss_bytes'] / 2**30:5.2f} GiB "
        f"(+{own / 2**30:.2f}), {sum(run['nodes'].values())} nodes, "
        f"differs by {run['difference']:.1e}"
    )


if __name__ == "__main__":
    sys.exit(run_script(main))
