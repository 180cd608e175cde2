"""Compare `precision="fast"` on a CPU with Keras: speed, and what it costs in Dice.

    python -m unetrt.benchmarks.promises.fast --data FOLDER --out FILE

The article's network is first trained for some minutes on the data, so that a Dice means something.
Keras and the session have a process each and take turns. Needs the extras `train` and `openvino`.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.data import Dataset, load_dataset
from unetrt.overlap import OverlapCounter
from unetrt.sizes import SizeRule, as_batch

from ..processes import QUIET, Worker
from .runner import Verdict, child_command, report, run_in_child, run_script, script_parser

__all__ = ["judge", "main", "measure_fast", "serve_keras", "serve_session", "train_article"]

_FASTER, _DICE = 2.5, 1e-3
_TIMEOUT_S = 1800
_TURN = 5
_LEARNED = 0.5
"""The Dice that both must have, for their difference to mean anything."""

Predict = Callable[[NDArray[np.float32]], NDArray[Any]]


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = script_parser(__doc__)
    parser.add_argument("--data", default="brain")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training")
    parser.add_argument("--turns", type=int, default=20, help="of each")
    given = parser.parse_args()
    measured = measure_fast(data=given.data, minutes=given.minutes, turns=given.turns)
    return report(judge(measured), measured, given.out)


def measure_fast(*, data: str, minutes: float, turns: int) -> dict[str, Any]:
    """Train, then time both in turns of random order; return the raw results.

    Each turn is two calls that are not timed, then five that are.

    Raises:
        CheckFailed: the training failed; holds its words.
        WorkerFailed: one of both did.
    """
    measured: dict[str, Any] = {"data": data, "precision": "fast"}
    order = random.Random(0)  # noqa: S311  (an order, not a secret)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        train = partial(train_article, data=data, minutes=minutes, folder=folder)
        measured["trained"] = run_in_child(train)
        workers = {}
        for name, serve in (("keras", serve_keras), ("session", serve_session)):
            worker = Worker(
                [sys.executable, "-m", *child_command(partial(serve, data=data, folder=folder))],
                name=serve.__name__,
                log=Path(folder, f"{name}.txt"),
                timeout_s=_TIMEOUT_S,
                environment=QUIET,
            )
            workers[name] = stack.enter_context(worker)
            dice = worker.ask("dice", timeout_s=_TIMEOUT_S)
            measured[name] = worker.opened | {"dice": dice, "latency_ns": []}
        for _ in range(turns):
            for name in order.sample(sorted(workers), len(workers)):
                ask = workers[name].ask
                ask("time", count=2, timeout_s=_TIMEOUT_S)  # wakes threads, fills caches
                taken = ask("time", count=_TURN, timeout_s=_TIMEOUT_S)
                measured[name]["latency_ns"].append(taken)
    return measured


def train_article(*, data: str, minutes: float, folder: str) -> dict[str, Any]:
    """Train in a child, leaving model.keras and model.onnx in `folder`; return how well it does."""
    vendor.keras().utils.set_random_seed(0)
    from unetrt.builder import TrainSpec, UNetSpec, build_unet
    from unetrt.builder.fit import fit
    from unetrt.convert.to_onnx import export_onnx

    dataset = load_dataset(data)
    mean, std = dataset.pixel_statistics()
    shape = (None, None, dataset.channels)
    spec = UNetSpec.article(shape, len(dataset.classes), pixel_mean=mean, pixel_std=std)
    model = build_unet(spec)
    # Small steps: it has no normalization layers to steady larger ones.
    training = TrainSpec(minutes=minutes, batch=4, learning_rate=2e-4)
    result = fit(model, dataset, training, run=Path(folder))
    export_onnx(result.model, Path(folder, "model.onnx"))
    return {
        "parameters": int(model.count_params()),
        "epochs": len(result.history),
        "val_dice": result.best.val_dice,
    }


def serve_keras(*, data: str, folder: str, replies: int) -> None:
    """Run the Keras model when asked, in a child."""
    keras = vendor.keras()
    from unetrt.keras_models import load_model

    model, file = load_model(Path(folder, "model.keras"))
    info = {"backend": f"keras {keras.__version__}"}
    _serve(model.predict_on_batch, file.sizes, info, load_dataset(data), replies)


def serve_session(*, data: str, folder: str, replies: int) -> None:
    """Run a fast session when asked, in a child."""
    from unetrt.runtime import SessionSpec, open_session

    spec = SessionSpec(backend="auto", precision="fast")
    with open_session(Path(folder, "model.onnx"), spec) as session:
        _serve(session.run, session.artifact.sizes, session.info, load_dataset(data), replies)


def _serve(
    predict: Predict, sizes: SizeRule, info: dict[str, Any], data: Dataset, replies: int
) -> None:
    """Reply to a Worker: "time" with the nanoseconds of runs, "dice" with the test set's."""
    x = as_batch(data.test[0].image, sizes)
    with open(replies, "w", encoding="utf-8", buffering=1) as file:
        file.write(json.dumps({"opened": {"info": info, "shape": list(x.shape)}}) + "\n")
        for line in sys.stdin:
            asked = json.loads(line)
            reply: Any = (
                _dice(predict, sizes, data)
                if asked["do"] == "dice"
                else [_timed(predict, x) for _ in range(asked["count"])]
            )
            file.write(json.dumps({asked["do"]: reply}) + "\n")


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


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    keras, session = measured["keras"], measured["session"]
    pairs = zip(keras["latency_ns"], session["latency_ns"], strict=True)
    faster = median(median(slow) / median(fast) for slow, fast in pairs)
    ms = {
        name: median(ns for turn in measured[name]["latency_ns"] for ns in turn) / 1e6
        for name in ("keras", "session")
    }
    dice = {name: (keras["dice"][name], session["dice"][name]) for name in keras["dice"]}
    apart = max(abs(one - other) for one, other in dice.values())
    learned = min(one for one, _ in dice.values())
    return [
        Verdict(
            f"{measured['trained']['parameters'] / 1e6:.1f} M parameters, "
            f"{' x '.join(map(str, session['shape']))}, precision {measured['precision']!r}: at "
            f"least {_FASTER:g} times faster than keras.Model.predict_on_batch",
            f"{faster:.2f} times ({ms['session']:.1f} against {ms['keras']:.1f} ms; "
            f"{session['info']['backend']} computes in {session['info']['computes_in']})",
            faster >= _FASTER,
        ),
        Verdict(
            f"its Dice on the test images within {_DICE:g} of Keras', once the network has learned",
            f"{apart:.5f} ("
            + ", ".join(f"{name} {one:.4f} and {other:.4f}" for name, (one, other) in dice.items())
            + ")",
            apart <= _DICE and learned >= _LEARNED,
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_script(main))
