"""Save everything that an interrupted training needs to resume as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from unetrt.data import Dataset, Sample
from unetrt.errors import ArtifactError
from unetrt.files import replacing

from .history import Epoch
from .train_spec import TrainSpec

__all__ = [
    "Checkpoint",
    "as_json",
    "data_changes",
    "data_identity",
    "identity_changes",
    "load_checkpoint",
    "restore",
    "run_identity",
    "save_checkpoint",
]

_FORMAT = 1
_STATE = "state.json"
_PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Hold a training at the end of an epoch; its variables stay in the file until `restore`.

    Attributes:
        path: the file.
        identity: of the spec, the network and the data: see `run_identity`.
        step: steps taken.
        spent_s: seconds taken.
        history: the learning curve so far.
        best_weights: of the model in the best epoch; empty before the first.
    """

    path: Path
    identity: dict[str, Any]
    step: int
    spent_s: float
    history: tuple[Epoch, ...]
    best_weights: list[NDArray[Any]]


def save_checkpoint(
    checkpoint: Checkpoint, model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Write the checkpoint and every variable of `model` and `optimizer`, whole or not at all.

    The file is a NumPy archive, written an array at a time: all of them at once would take as
    much memory again as training does.
    """
    state = {
        "format": _FORMAT,
        "identity": checkpoint.identity,
        "step": checkpoint.step,
        "spent_s": checkpoint.spent_s,
        "history": [asdict(epoch) for epoch in checkpoint.history],
        "best_weights": len(checkpoint.best_weights),
    }
    named = {
        **{f"best/{k}": weights for k, weights in enumerate(checkpoint.best_weights)},
        **dict(_variables(model, optimizer)),
    }
    with (
        replacing(checkpoint.path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        archive.writestr(_STATE, json.dumps(state))
        for name, value in named.items():
            array = np.asarray(
                value if isinstance(value, np.ndarray) else keras.ops.convert_to_numpy(value)
            )
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read all but the variables.

    Raises:
        ArtifactError: the file is damaged, or of another version.
    """
    with _explaining(path), zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()  # before training is changed by half of it
        if damaged is not None:
            raise zipfile.BadZipFile(f"a damaged {damaged}")
        state = json.loads(archive.read(_STATE))
        if state["format"] != _FORMAT:
            raise ValueError(f"format {state['format']}")
        return Checkpoint(
            path=path,
            identity=state["identity"],
            step=int(state["step"]),
            spent_s=float(state["spent_s"]),
            history=tuple(Epoch(**epoch) for epoch in state["history"]),
            best_weights=[_array(archive, f"best/{k}") for k in range(state["best_weights"])],
        )


def restore(
    checkpoint: Checkpoint, model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> None:
    """Set every variable of `model` and `optimizer` to its value in the file.

    Raises:
        ArtifactError: the file has other variables.
    """
    path = checkpoint.path
    with _explaining(path), zipfile.ZipFile(path) as archive:
        for name, variable in _variables(model, optimizer):
            array = _array(archive, name)
            if array.shape != tuple(variable.shape):
                raise ValueError(f"{name} of shape {array.shape}, not {tuple(variable.shape)}")
            variable.assign(array)


def run_identity(
    model: keras.Model,
    data: Dataset,
    spec: TrainSpec,
    *,
    on_step: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Describe the spec, the network and the data of a training.

    Returns:
        JSON-ready values; layers and pixels are hashed, weights do not count.
    """
    network = {
        "input": list(model.input_shape[1:]),
        "classes": model.output_shape[-1],
        "parameters": model.count_params(),
        "layers": _hash_layers(model),
    }
    identity = {
        "spec": asdict(spec),
        "network": network,
        "data": data_identity(data, on_step=on_step),
    }
    return as_json(identity)


def data_identity(
    data: Dataset, *, on_step: Callable[[str], None] = lambda _line: None
) -> dict[str, Any]:
    """Describe a data set: its classes, and of each part the images and their hash."""
    parts: dict[str, Any] = {"classes": list(data.classes)}
    for part in _PARTS:
        samples = getattr(data, part)
        digest = hashlib.blake2b(digest_size=16)
        for number, sample in enumerate(samples, start=1):
            _hash_sample(digest.update, sample)
            on_step(f"hashing the {part} images, {number}/{len(samples)}")
        parts[part] = {"images": len(samples), "hash": digest.hexdigest()}
    return parts


def identity_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List the differences of two identities, such as "spec: batch 8 -> 4"."""
    return [
        f"{what}: {name} {was} -> {is_now}" if name != "layers" else f"{what}: other layers"
        for what in ("spec", "network")
        for name, (was, is_now) in _differing(before[what], now[what])
    ] + data_changes(before["data"], now["data"])


def data_changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """List the differences of two data sets by their identities."""
    found = []
    if before["classes"] != now["classes"]:
        was, is_now = (", ".join(side["classes"]) for side in (before, now))
        found.append(f"data: classes {was} -> {is_now}")
    for part in _PARTS:
        was, is_now = before[part], now[part]
        if was["images"] != is_now["images"]:
            found.append(f"data: {was['images']} -> {is_now['images']} {part} images")
        elif was["hash"] != is_now["hash"]:
            found.append(f"data: other {part} images or labels")
    return found


def as_json(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as they come back from a JSON file: tuples become lists."""
    return dict(json.loads(json.dumps(fields)))


def _variables(
    model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> Iterator[tuple[str, Any]]:
    """Name every variable: weights, batch statistics, dropout's seeds, momenta, averages."""
    for owner, variables in (("model", model.variables), ("optimizer", optimizer.variables)):
        yield from ((f"{owner}/{k}", variable) for k, variable in enumerate(variables))


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(f"{name}.npy") as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    """Say what to do about a checkpoint that cannot be read."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            f"Cannot resume from {path}",
            got=error,
            expected="a whole checkpoint of this version of unetrt",
            hint="train again with `restart=True`",
        ) from error


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

    Keras numbers the names that it gives through the life of a process, so a name counts by when
    it first appears: the first input layer is the same as input_layer and as input_layer_7.
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
