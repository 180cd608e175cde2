"""Train and predict with each system that is compared: ours by its command, and its peers.

All get the same folder, the same minutes and the same two cores, and none is shown the test images
before it is done.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.data import IGNORED, Dataset, load_dataset
from unetrt.data.dataset import files_of
from unetrt.errors import BadInput, CheckFailed

from ..processes import QUIET, last_line
from . import plain_unet

__all__ = ["SYSTEMS", "System", "system_named"]


class System(Protocol):
    """Train on a folder, then predict; a fresh process does each."""

    def train(self, data: Path, run: Path, *, minutes: float, seed: int) -> dict[str, Any]:
        """Train for so many minutes on a data folder; leave the model in `run`."""

    def predict(self, run: Path, data: Dataset) -> Iterator[NDArray[Any]]:
        """Yield the classes of the test images, [height, width], in order."""


class Unetrt:
    """Run the user's own command, and the model that it leaves."""

    def train(self, data: Path, run: Path, *, minutes: float, seed: int) -> dict[str, Any]:
        """Run `unetrt train`."""
        words = ["unetrt", "train", data, "--out", run, "--minutes", minutes, "--seed", seed]
        _run([sys.executable, "-m", *map(str, words)], run.with_name(f"{run.name}.log"))
        return {}

    def predict(self, run: Path, data: Dataset) -> Iterator[NDArray[Any]]:
        """Load model.keras; each file is normalised as the model says."""
        vendor.keras()
        from unetrt.builder.evaluate import predicted_classes
        from unetrt.keras_models import load_model, size_rule

        model, file = load_model(run / "model.keras")
        sizes = size_rule(model)
        for sample in data.normalized(file.normalization).test:
            yield predicted_classes(model, sample.image, sizes)


class Plain:
    """Train a network by the plain loop of `plain_unet`."""

    def __init__(
        self, network: Callable[[int, int], Any] = plain_unet.plain_network, multiple: int = 8
    ) -> None:
        self._network = network
        self._multiple = multiple

    def train(self, data: Path, run: Path, *, minutes: float, seed: int) -> dict[str, Any]:
        """Write model.keras."""
        run.mkdir(parents=True, exist_ok=True)
        return plain_unet.train(
            load_dataset(data),
            run / "model.keras",
            minutes=minutes,
            seed=seed,
            network=self._network,
            multiple=self._multiple,
        )

    def predict(self, run: Path, data: Dataset) -> Iterator[NDArray[Any]]:
        """Predict with the last weights."""
        return plain_unet.predict(run / "model.keras", data.test, multiple=self._multiple)


def _resnet_unet(channels: int, n_classes: int) -> Any:
    """Build segmentation_models' U-Net with the smallest ResNet, from random weights."""
    vendor.need("segmodels_keras", extra="zoo", purpose="Training the network of a peer")
    vendor.keras()
    import segmodels_keras

    return segmodels_keras.Unet(
        "resnet18",
        input_shape=(None, None, channels),
        classes=n_classes,
        activation="softmax",
        encoder_weights=None,
    )


class NnUnet:
    """Run nnU-Net v2 in an environment of its own: its 2d configuration, as it plans it.

    Planning and preprocessing are before the clock. The rest is nnU-Net's own, but that the
    learning rate falls by time and there is no validation between epochs: on two cores none of
    its epochs of 250 steps would end. It predicts with its mirrored views, as it does by itself.

    Args:
        python: the interpreter that has nnunetv2.
    """

    def __init__(self, python: Path) -> None:
        self._python = python

    def train(self, data: Path, run: Path, *, minutes: float, seed: int) -> dict[str, Any]:
        """Write the data as nnU-Net reads it, plan, preprocess and train."""
        nibabel = vendor.nibabel()
        dataset = load_dataset(data)
        raw = run / "raw" / "Dataset001_task"
        for name in ("imagesTr", "labelsTr"):
            (raw / name).mkdir(parents=True, exist_ok=True)
        cases: dict[str, list[str]] = {"train": [], "val": []}
        for part, names in cases.items():
            for number, pages in enumerate(files_of(getattr(dataset, part)).values()):
                name = f"{part}_{number:05d}"
                names.append(name)
                _write_channels(nibabel, [page.image for page in pages], raw / "imagesTr" / name)
                label = np.stack([page.label for page in pages], axis=-1)
                label = np.where(label == IGNORED, len(dataset.classes), label).astype(np.uint8)
                nibabel.save(_nifti(nibabel, label), raw / "labelsTr" / f"{name}.nii")
        labels = {name: number for number, name in enumerate(dataset.classes)}
        if any((one.label == IGNORED).any() for one in (*dataset.train, *dataset.val)):
            labels["ignore"] = len(dataset.classes)
        description = {
            "channel_names": {str(k): f"channel{k}" for k in range(dataset.channels)},
            "labels": labels,
            "numTraining": sum(map(len, cases.values())),
            "file_ending": ".nii",
        }
        (raw / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
        (run / "splits.json").write_text(json.dumps([cases]), encoding="utf-8")
        self._call(run, "train", minutes, seed)
        found: dict[str, Any] = json.loads((run / "trained.json").read_text(encoding="utf-8"))
        return found

    def predict(self, run: Path, data: Dataset) -> Iterator[NDArray[Any]]:
        """Write the test images, let nnU-Net predict their files, read them back."""
        nibabel = vendor.nibabel()
        place = run / f"test-{data.name}"
        (place / "images").mkdir(parents=True, exist_ok=True)
        files = list(files_of(data.test).values())
        for number, pages in enumerate(files):
            images = [page.image for page in pages]
            _write_channels(nibabel, images, place / "images" / f"test_{number:05d}")
        self._call(run, "predict", place / "images", place / "labels")
        for number, pages in enumerate(files):
            volume: Any = nibabel.load(place / "labels" / f"test_{number:05d}.nii")
            labels = np.asarray(volume.dataobj)
            yield from (labels[:, :, k] for k in range(len(pages)))

    def _call(self, run: Path, *words: object) -> None:
        child = Path(__file__).with_name("nnunet_child.py")
        command = [str(self._python), str(child), str(run), *map(str, words)]
        _run(command, run / f"{words[0]}.log")


def _write_channels(nibabel: Any, images: list[NDArray[Any]], stem: Path) -> None:
    volume = np.stack(images, axis=2).astype(np.float32)  # height, width, slices, channels
    for channel in range(volume.shape[3]):
        file = stem.with_name(f"{stem.name}_{channel:04d}.nii")
        nibabel.save(_nifti(nibabel, volume[..., channel]), file)


def _nifti(nibabel: Any, volume: NDArray[Any]) -> Any:
    """Return a volume with cubic voxels; an image is one slice, far from any other."""
    thickness = 999.0 if volume.shape[2] == 1 else 1.0
    return nibabel.Nifti1Image(volume, np.diag((1.0, 1.0, thickness, 1.0)))


def _run(command: list[str], log: Path) -> None:
    """Run a command with its words in a log.

    Raises:
        CheckFailed: it failed; holds its last line.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        done = subprocess.run(
            command, stdout=output, stderr=subprocess.STDOUT, check=False, env=os.environ | QUIET
        )
    if done.returncode:
        raise CheckFailed(f"{command[2]} failed", got=last_line(log))


SYSTEMS = ("unetrt", "plain", "segmodels", "nnunet")
"""Names of the systems; the first two are always measured."""


def system_named(name: str, *, nnunet_python: Path | None = None) -> System:
    """Return the system of a name.

    Raises:
        BadInput: there is none, or nnU-Net without its interpreter.
    """
    made: dict[str, Callable[[], System]] = {
        "unetrt": Unetrt,
        "plain": Plain,
        "segmodels": partial(Plain, _resnet_unet, 32),
    }
    if nnunet_python is not None:
        made["nnunet"] = partial(NnUnet, nnunet_python)
    if name not in made:
        hint = "name the interpreter that has nnunetv2" if name == "nnunet" else None
        raise BadInput("There is no such system", got=name, expected=", ".join(SYSTEMS), hint=hint)
    return made[name]()
