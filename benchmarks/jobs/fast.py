"""The article's network: trained a little, then run by Keras or by a fast session when asked.

python -m unetrt.benchmarks.jobs.fast train --data FOLDER --minutes 3 --out FOLDER
python -m unetrt.benchmarks.jobs.fast keras --data FOLDER --out FOLDER
python -m unetrt.benchmarks.jobs.fast session --data FOLDER --precision fast --out FOLDER

The last two are asked through ../worker.py: "turn" for the nanoseconds of `count` runs on one test
image, "dice" for the Dice on all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.data import Dataset, load_dataset
from unetrt.overlap import OverlapCounter
from unetrt.sizes import SizeRule, as_batch

__all__ = ["main"]

Predict = Callable[[NDArray[np.float32]], NDArray[Any]]


def train_a_little(data: Dataset, minutes: float, filters: list[int] | None, out: Path) -> Any:
    """Leave OUT/model.keras and OUT/model.onnx; return how well it does on validation images.

    `filters` makes a smaller network of the same build, for tests.
    """
    vendor.keras().utils.set_random_seed(0)
    from unetrt.builder import TrainSpec, UNetSpec, build_unet  # noqa: PLC0415
    from unetrt.builder.fit import fit  # noqa: PLC0415
    from unetrt.convert.to_onnx import export_onnx  # noqa: PLC0415

    mean, std = data.pixel_statistics()
    changes: dict[str, Any] = {"pixel_mean": mean, "pixel_std": std}
    if filters:
        changes |= {"filters": tuple(filters), "bottleneck": 2 * filters[-1]}
    spec = UNetSpec.article((None, None, data.channels), len(data.classes), **changes)
    model = build_unet(spec)
    # Small steps: it has no normalization layers to steady larger ones.
    training = TrainSpec(minutes=minutes, batch=4, learning_rate=2e-4)
    result = fit(model, data, training, run=out)
    export_onnx(result.model, out / "model.onnx")
    return {
        "parameters": int(model.count_params()),
        "epochs": len(result.history),
        "val_dice": result.best.val_dice,
    }


def _keras(stack: ExitStack, out: Path, _precision: str) -> tuple[Predict, SizeRule, Any]:
    keras = vendor.keras()
    from unetrt.keras_models import load_model  # noqa: PLC0415

    model, file = load_model(out / "model.keras")
    stack.callback(keras.backend.clear_session)
    return model.predict_on_batch, file.sizes, {"backend": f"keras {keras.__version__}"}


def _session(stack: ExitStack, out: Path, precision: str) -> tuple[Predict, SizeRule, Any]:
    from unetrt.runtime import SessionSpec, open_session  # noqa: PLC0415

    spec = SessionSpec(backend="auto", precision=precision)
    session = stack.enter_context(open_session(out / "model.onnx", spec))
    return session.run, session.artifact.sizes, session.info


def _serve(predict: Predict, sizes: SizeRule, info: Any, data: Dataset, answers: int) -> None:
    x = as_batch(data.test[0].image, sizes)
    with open(answers, "w", encoding="utf-8", buffering=1) as file:
        file.write(json.dumps({"opened": {"info": info, "shape": list(x.shape)}}) + "\n")
        for line in sys.stdin:
            asked = json.loads(line)
            answer: Any = (
                _dice(predict, sizes, data)
                if asked["do"] == "dice"
                else [_timed(predict, x) for _ in range(asked["count"])]
            )
            file.write(json.dumps({asked["do"]: answer}) + "\n")


def _timed(predict: Predict, x: NDArray[np.float32]) -> int:
    began = time.perf_counter_ns()
    predict(x)
    return time.perf_counter_ns() - began


def _dice(predict: Predict, sizes: SizeRule, data: Dataset) -> dict[str, float]:
    counter = OverlapCounter(data.classes)
    for sample in data.test:
        height, width = sample.label.shape
        labels = predict(as_batch(sample.image, sizes))[0].argmax(axis=-1)
        counter.add(sample.label, labels[:height, :width])
    return counter.to_json()


def main() -> None:
    """Train and write OUT/result.json, or answer until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("train", "keras", "session"))
    parser.add_argument("--data", required=True)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--filters", type=int, nargs="+")
    parser.add_argument("--precision", default="fast")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--answers", type=int, help="file descriptor")
    given = parser.parse_args()
    data = load_dataset(given.data)
    if given.what == "train":
        result = train_a_little(data, given.minutes, given.filters, given.out)
        (given.out / "result.json").write_text(json.dumps(result), encoding="utf-8")
        return
    opener = _keras if given.what == "keras" else _session
    with ExitStack() as stack:
        _serve(*opener(stack, given.out, given.precision), data, given.answers)


if __name__ == "__main__":
    main()
