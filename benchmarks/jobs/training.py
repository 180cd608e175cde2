"""What a training step costs with its input, and what memory a large network's training takes.

python -m unetrt.benchmarks.jobs.training input --data brain --out FOLDER
python -m unetrt.benchmarks.jobs.training memory --out FOLDER
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetrt import vendor
from unetrt.builder import Augmentation, TrainSpec, UNetSpec, build_unet
from unetrt.builder.crops import CropStream
from unetrt.builder.fit import fit
from unetrt.builder.loop import batches
from unetrt.builder.losses import make_loss
from unetrt.builder.plan import plan
from unetrt.builder.training_model import fused_normalization
from unetrt.data import Dataset, Sample, load_dataset
from unetrt.data.fingerprint import fingerprint

from .memory import peak_rss_bytes, rss_bytes, start_peak

__all__ = ["input_cost", "main", "training_memory"]

_CACHED = 16
"""Batches that are kept and shown over and over."""


class _Cached(CropStream):
    """Crops as they are, drawn once."""

    def batch(self, number: int) -> tuple[np.ndarray[Any, Any], ...]:
        return self._kept[int(number) % _CACHED]

    def keep(self) -> _Cached:
        self._kept = [super(_Cached, self).batch(number) for number in range(_CACHED)]
        return self


def input_cost(data: Dataset, *, steps: int, blocks: int) -> dict[str, Any]:
    """Return the seconds of blocks of training steps, augmented and cached in turn.

    The network, the crops and the batch are what `unetrt train` would choose; both inputs feed
    the same compiled step. Augmented is every crop, in every way: more than training does.
    """
    chosen = plan(fingerprint(data))
    spec = chosen.training
    keras.utils.set_random_seed(0)
    model = build_unet(chosen.unet)
    model.compile(
        keras.optimizers.AdamW(spec.learning_rate, weight_decay=spec.weight_decay),
        make_loss(spec, n_classes=len(data.classes), sigmoid=False),
        jit_compile=False,
    )
    options: dict[str, Any] = {
        "crop": spec.crop,
        "batch": spec.batch,
        "sizes": chosen.unet.sizes,
        "pixel_std": data.pixel_statistics()[1],
        "seed": 0,
    }
    fully = replace(spec.augmentation, elastic_share=1.0, intensity_share=1.0)
    full = CropStream(data.train, augmentation=fully, **options)
    cached = _Cached(data.train, augmentation=Augmentation.none(), **options).keep()
    inputs = {
        "augmented": iter(batches(full, spec)),
        "cached": iter(batches(cached, replace(spec, augmentation=Augmentation.none()))),
    }
    model.make_train_function()
    with fused_normalization(model):
        _timed(model, inputs["cached"], 1)  # traces
    for batch in inputs.values():
        _timed(model, batch, 5)  # fills what is drawn ahead
    seconds: dict[str, list[float]] = {name: [] for name in inputs}
    for turn in range(blocks):
        for name in sorted(inputs, reverse=turn % 2 == 1):
            seconds[name].append(_timed(model, inputs[name], steps))
    began = time.thread_time()
    for number in range(_CACHED):
        full.batch(number)
    return {
        "steps": steps,
        "batch": spec.batch,
        "crop": spec.crop,
        "seconds": seconds,
        "draw_seconds": (time.thread_time() - began) / _CACHED,
    }


def _timed(model: keras.Model, batches: Iterator[Any], steps: int) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        logs = model.train_function(batches)
    float(logs["loss"])  # until it is known, the last step may still run
    return time.perf_counter() - began


def training_memory(run: Path, *, filters: tuple[int, ...], crop: int) -> dict[str, Any]:
    """Return the most memory that `train` held, with its checkpoint, on crops of `crop` pixels."""
    random = np.random.default_rng(0)

    def sample(name: str) -> Sample:
        side = 2 * crop
        label = random.integers(0, 2, (side, side)).astype(np.uint8)
        image = random.integers(0, 256, (side, side, 1)).astype(np.uint8)
        return Sample(name, image, label)

    parts = ([sample(f"{part}{k}") for k in range(4)] for part in ("train", "val", "test"))
    data = Dataset("noise", ("background", "object"), *map(tuple, parts))
    spec = UNetSpec.article((None, None, 1), 2, filters=filters, bottleneck=2 * filters[-1])
    model = build_unet(spec)
    before = rss_bytes()
    start_peak()
    # The clock ends the epoch with its first step; its validation and checkpoint count.
    result = fit(model, data, TrainSpec(minutes=0.01, batch=8, crop=crop), run=run)
    return {
        "parameters": model.count_params(),
        "crop": crop,
        "batch": 8,
        "epochs": len(result.history),
        "rss_before_bytes": before,
        "peak_rss_bytes": peak_rss_bytes(),
    }


def main() -> None:
    """Measure as the command line says, and write FOLDER/result.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("input", "memory"))
    parser.add_argument("--data", default="brain")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--filters", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    vendor.keras()
    if given.what == "input":
        found = input_cost(load_dataset(given.data), steps=given.steps, blocks=given.blocks)
    else:
        filters = tuple(given.filters)
        found = training_memory(given.out / "run", filters=filters, crop=given.crop)
    (given.out / "result.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
