"""Measure what training costs: its input beside the network's steps, and its memory.

    python -m unetrt.benchmarks.promises.training --out FILE

Each measurement has a process of its own. Needs the extra `train`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from unetrt import vendor
from unetrt.data import Dataset, Sample, load_dataset
from unetrt.data.fingerprint import fingerprint

from .memory import peak_rss_bytes, rss_bytes, start_peak
from .runner import Verdict, report, run_in_child, run_script, script_parser

__all__ = ["judge", "main", "time_input", "train_article"]

_THROUGHPUT, _MEMORY = 0.85, 8 * 2**30
_STEPS, _BLOCKS = 40, 9
_CROP, _BATCH = 256, 8
_CACHED = 16
"""Batches that are kept and shown over and over."""


def main() -> int:
    """Measure, print each promise with what was measured, and write the JSON file."""
    parser = script_parser(__doc__)
    parser.add_argument("--data", default="brain")
    given = parser.parse_args()
    measured = {
        "input": run_in_child(partial(time_input, data=given.data)),
        "memory": run_in_child(partial(train_article)),
    }
    return report(judge(measured), measured, given.out)


def time_input(*, data: str) -> dict[str, Any]:
    """Time blocks of training steps, augmented and cached in turn, in a child; return the seconds.

    The network, the crops and the batch are what `unetrt train` would choose; both inputs feed
    the same compiled step. Augmented is every crop, in every way: more than training does.
    """
    keras = vendor.keras()
    from unetrt.builder import Augmentation, build_unet
    from unetrt.builder.crops import CropStream
    from unetrt.builder.loop import batches
    from unetrt.builder.losses import make_loss
    from unetrt.builder.plan import plan
    from unetrt.builder.training_model import fused_normalization

    dataset = load_dataset(data)
    chosen = plan(fingerprint(dataset))
    spec = chosen.training
    keras.utils.set_random_seed(0)
    model = build_unet(chosen.unet)
    model.compile(
        keras.optimizers.AdamW(spec.learning_rate, weight_decay=spec.weight_decay),
        make_loss(spec, n_classes=len(dataset.classes), sigmoid=False),
        jit_compile=False,
    )

    stream = partial(
        CropStream,
        dataset.train,
        crop=spec.crop,
        batch=spec.batch,
        sizes=chosen.unet.sizes,
        pixel_std=dataset.pixel_statistics()[1],
        seed=0,
    )
    plain = replace(spec, augmentation=Augmentation.none())
    always = replace(
        spec.augmentation,
        rotated=1.0,
        zoomed=1.0,
        deformed=1.0,
        recoloured=1.0,
        curved=1.0,
        noisy=1.0,
        blurred=1.0,
        coarsened=1.0,
    )
    full = stream(augmentation=always)
    cached = stream(augmentation=plain.augmentation)
    kept = [cached.batch(number) for number in range(_CACHED)]
    cached.batch = lambda number: kept[int(number) % _CACHED]  # type: ignore[method-assign]
    inputs = {
        "augmented": iter(batches(full, spec)),
        "cached": iter(batches(cached, plain)),
    }

    def run(name: str, count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            logs = model.train_function(inputs[name])
        float(logs["loss"])  # until it is known, the last step may still run
        return time.perf_counter() - began

    model.make_train_function()
    with fused_normalization(model):
        run("cached", 1)  # traces
    for name in inputs:
        run(name, 5)  # fills what is drawn ahead
    seconds: dict[str, list[float]] = {name: [] for name in inputs}
    for block in range(_BLOCKS):
        for name in sorted(inputs, reverse=block % 2 == 1):
            seconds[name].append(run(name, _STEPS))
    began = time.thread_time()
    for number in range(_CACHED):
        full.batch(number)
    return {
        "steps": _STEPS,
        "batch": spec.batch,
        "crop": spec.crop,
        "seconds": seconds,
        "draw_seconds": (time.thread_time() - began) / _CACHED,
    }


def train_article() -> dict[str, Any]:
    """Train the article's network, in a child; return the most memory that it held."""
    vendor.keras()
    from unetrt.builder import TrainSpec, UNetSpec, build_unet
    from unetrt.builder.fit import fit

    random = np.random.default_rng(0)

    def sample(name: str) -> Sample:
        side = 2 * _CROP
        label = random.integers(0, 2, (side, side)).astype(np.uint8)
        image = random.integers(0, 256, (side, side, 1)).astype(np.uint8)
        return Sample(name, image, label)

    parts = ([sample(f"{part}{k}") for k in range(4)] for part in ("train", "val", "test"))
    data = Dataset("noise", ("background", "object"), *map(tuple, parts))
    model = build_unet(UNetSpec.article((None, None, 1), 2))
    before = rss_bytes()
    start_peak()
    with tempfile.TemporaryDirectory() as folder:
        # The clock ends the epoch with its first step; its validation and checkpoint count.
        training = TrainSpec(minutes=0.01, batch=_BATCH, crop=_CROP)
        result = fit(model, data, training, run=Path(folder))
    return {
        "parameters": model.count_params(),
        "crop": _CROP,
        "batch": _BATCH,
        "epochs": len(result.history),
        "rss_before_bytes": before,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def judge(measured: dict[str, Any]) -> list[Verdict]:
    """Hold the results against what the project promises."""
    cost, memory = measured["input"], measured["memory"]
    pairs = zip(cost["seconds"]["cached"], cost["seconds"]["augmented"], strict=True)
    throughput = median(cached / augmented for cached, augmented in pairs)
    step_ms = 1000 * median(cost["seconds"]["augmented"]) / cost["steps"]
    return [
        Verdict(
            f"steps a second with full augmentation: at least {_THROUGHPUT:g} of those with "
            "cached batches",
            f"{throughput:.3f} ({step_ms:.0f} ms a step; drawing a batch takes "
            f"{1000 * cost['draw_seconds']:.0f} ms of one core)",
            throughput >= _THROUGHPUT,
        ),
        Verdict(
            f"{memory['parameters'] / 1e6:.1f} M parameters, batch {memory['batch']} of "
            f"{memory['crop']} x {memory['crop']}: less than {_MEMORY / 2**30:g} GiB",
            f"{memory['peak_rss_bytes'] / 2**30:.2f} GiB",
            memory["peak_rss_bytes"] < _MEMORY,
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_script(main))
