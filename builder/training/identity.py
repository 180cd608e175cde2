"""What a training is of: its spec, its network and its data, so that resuming can compare."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from unetrt.data import Dataset, Sample

from ..train_spec import TrainSpec

__all__ = ["changes", "identity"]

_PARTS = ("train", "val", "test")


def identity(
    model: keras.Model,
    data: Dataset,
    spec: TrainSpec,
    *,
    on_step: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Return what JSON can hold of a spec, a network without its weights, and every pixel."""
    parts = {}
    for part in _PARTS:
        samples = getattr(data, part)
        digest = hashlib.blake2b(digest_size=16)
        for number, sample in enumerate(samples, start=1):
            _hash_sample(digest.update, sample)
            on_step(f"looking at the {part} images, {number}/{len(samples)}")
        parts[part] = {"images": len(samples), "hash": digest.hexdigest()}
    network = {
        "input": list(model.input_shape[1:]),
        "classes": model.output_shape[-1],
        "parameters": model.count_params(),
        "layers": _hash_layers(model),
    }
    own = {
        "spec": asdict(spec),
        "network": network,
        "data": {"classes": list(data.classes), **parts},
    }
    return dict(json.loads(json.dumps(own)))  # tuples become lists, as in what is compared


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return what differs, as "spec: batch 8 -> 4"."""
    said = []
    for what in ("spec", "network"):
        for name, (was, is_now) in _differing(before[what], now[what]):
            said.append(
                f"{what}: {name} {was} -> {is_now}" if name != "layers" else f"{what}: other layers"
            )
    if before["data"]["classes"] != now["data"]["classes"]:
        was, is_now = (", ".join(side["data"]["classes"]) for side in (before, now))
        said.append(f"data: classes {was} -> {is_now}")
    for part in _PARTS:
        was, is_now = before["data"][part], now["data"][part]
        if was["images"] != is_now["images"]:
            said.append(f"data: {was['images']} -> {is_now['images']} {part} images")
        elif was["hash"] != is_now["hash"]:
            said.append(f"data: other {part} images or labels")
    return said


def _differing(
    before: dict[str, Any], now: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in {**before, **now}:
        was, is_now = before.get(name), now.get(name)
        if isinstance(was, dict) and isinstance(is_now, dict):
            yield from _differing(was, is_now, f"{prefix}{name}.")
        elif was != is_now:
            yield prefix + name, (was, is_now)


def _hash_sample(update: Callable[[bytes | memoryview], None], sample: Sample) -> None:
    update(sample.name.encode())
    for array in (sample.image, sample.label, sample.instances):
        if array is None:
            update(b"none")
            continue
        update(f"{array.dtype} {array.shape}".encode())
        update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _hash_layers(model: keras.Model) -> str:
    """Hash the layers and how they are joined.

    Keras numbers what it names by itself through the life of a process, so every name counts by
    when it first appears: input_layer_7, seen first, is as good as input_layer.
    """
    seen: dict[str, list[str]] = {}

    def renamed(match: re.Match[str]) -> str:
        base = match[1]
        names = seen.setdefault(base, [])
        if match[0] not in names:
            names.append(match[0])
        return f'"{base}#{names.index(match[0])}"'

    config = json.dumps(
        keras.saving.serialize_keras_object(model.get_config()), sort_keys=True, default=str
    )
    config = re.sub(r'"([^"\\]*?)(?:_\d+)?"', renamed, config)
    return hashlib.blake2b(config.encode(), digest_size=16).hexdigest()
