"""One network of the zoo: built, converted, compared, and made an FP16 engine.

    python -m unetrt.benchmarks.jobs.zoo NAME --recipes zoo_keras_hub --out FOLDER

Writes FOLDER/result.json after each stage, so that a process that is killed tells how far it came.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from unetrt.convert.precision import PrecisionSpec, to_precision
from unetrt.convert.to_engine import EngineSpec, build_engine
from unetrt.convert.to_onnx import export_onnx
from unetrt.errors import ParityError
from unetrt.tensors import ShapeRange

from .memory import peak_rss_bytes

__all__ = ["main", "run"]

TOLERANCE = 1e-4
SPREAD = 1e-3
"""An output that is the same everywhere would agree with anything."""
_FREE_SIDE = 128
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_MOST_WORDS = 220
_SIZE_ARITHMETIC = ("Shape", "Gather", "Slice")


def run(build: Any, folder: Path) -> dict[str, Any]:
    """Take one network through every stage; what it found is on disk after each.

    Raises:
        Whatever a stage raises; `result.json` names the stage.
    """
    result: dict[str, Any] = {}

    def reached(stage: str, **found: Any) -> None:
        result.update(found, stage=stage, peak_rss_bytes=peak_rss_bytes())
        _tell(folder, **result)

    reached("build")
    model = build()
    _shake(model)
    image = _image(model)
    reached("export", parameters=int(model.count_params()), input=list(image.shape))
    began = time.perf_counter()
    exported = export_onnx(model, folder / "fp32.onnx")
    seconds = time.perf_counter() - began
    nodes = Counter(node.op_type for node in onnx.load(exported.path).graph.node)
    reached(
        "compare",
        convert_s=round(seconds, 2),
        nodes=sum(nodes.values()),
        transposes=nodes["Transpose"],
        size_arithmetic=sum(nodes[name] for name in _SIZE_ARITHMETIC),
        operators=dict(nodes),
        free_size=exported.inputs[0].shape[1:3] == ("height", "width"),
        size_multiple=exported.sizes.multiple,
    )
    expected = [np.asarray(y) for y in keras.tree.flatten(model(image, training=False))]
    reached("compare", **_differences(expected, _run_onnx(exported.path, image)))
    _check(result)
    reached("fp16")
    half = to_precision(exported, folder / "fp16.onnx", PrecisionSpec(precision="fp16"))
    halved = _differences(expected, _run_onnx(half.path, image))
    reached("engine", fp16_difference=halved["difference"])
    height, width = (ShapeRange(side, side, side) for side in image.shape[1:3])
    spec = EngineSpec(backend="tensorrt-rtx", batch=ShapeRange(1, 1, 4), height=height, width=width)
    began = time.perf_counter()
    engine = build_engine(half, folder / "fp16.engine", spec)
    reached(
        "done",
        engine_s=round(time.perf_counter() - began, 2),
        engine_bytes=engine.path.stat().st_size,
        fp16_share=engine.receipt["convolution_share"].get("fp16", 0.0),
        casts=engine.receipt["casts"],
    )
    return result


def _check(result: dict[str, Any]) -> None:
    if not result["spread"] >= SPREAD:
        raise ParityError(
            "The output says nothing",
            got=f"values within {result['spread']:.1e}",
            expected=f"a spread of {SPREAD:g}",
        )
    if not result["difference"] <= TOLERANCE:  # NaN fails too
        raise ParityError(
            "ONNX Runtime disagrees with Keras",
            got=f"{result['difference']:.1e}",
            expected=f"at most {TOLERANCE:g}",
        )


def _shake(model: keras.Model) -> None:
    """Give normalisations, biases and scales values of their own, as training would.

    Fresh ones are 0 and 1, and a conversion that dropped them would go unnoticed.
    """
    random = np.random.default_rng(0)
    ranges = {
        "gamma": (0.6, 1.4),
        "moving_variance": (0.6, 1.4),
        "beta": (-0.3, 0.3),
        "moving_mean": (-0.3, 0.3),
        "bias": (-0.3, 0.3),
    }
    for variable in model.weights:
        if variable.name in ranges and "float" in variable.dtype:
            variable.assign(random.uniform(*ranges[variable.name], variable.shape))


def _image(model: keras.Model) -> NDArray[np.float32]:
    (image,) = model.inputs
    sides = [side or _FREE_SIDE for side in image.shape[1:]]
    return np.random.default_rng(1).uniform(0, 1, (1, *sides)).astype(np.float32)


def _run_onnx(path: Path, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [np.asarray(y) for y in session.run(None, {session.get_inputs()[0].name: image})]


def _differences(
    expected: list[NDArray[np.float32]], given: list[NDArray[np.float32]]
) -> dict[str, Any]:
    """Return the largest difference of any output, and how far apart its own values are.

    Outputs beyond 1 are logits: those differences are shares of the largest magnitude.
    """
    scale = max(1.0, *(float(np.abs(y).max()) for y in expected))
    pairs = list(zip(expected, given, strict=True))
    return {
        "difference": max(float(np.abs(y - g).max()) for y, g in pairs) / scale,
        "scale": scale,
        "spread": max(float(np.ptp(y)) for y in expected) / scale,
        "outputs": len(expected),
    }


def _tell(folder: Path, **found: Any) -> None:
    file = folder / "result.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps(known | found), encoding="utf-8")


def _words(error: BaseException) -> str:
    """Return the error's words on one line, no longer than a table can bear."""
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines()]
    words = " ".join(line for line in lines if line)
    return words if len(words) <= _MOST_WORDS else words[:_MOST_WORDS] + "..."


def main() -> None:
    """Run the network named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--recipes", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    recipes = importlib.import_module(f"unetrt.benchmarks.jobs.{options.recipes}")
    try:
        run(recipes.MODELS[options.name], options.out)
    except Exception as error:
        _tell(options.out, reason=f"{type(error).__name__}: {_words(error)}")
        raise


if __name__ == "__main__":
    main()
