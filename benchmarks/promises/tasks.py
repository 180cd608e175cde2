"""Write the data sets that training is measured on: real ones, and harder ones made from them.

Each task is an ordinary folder of images/, labels/, index.csv and dataset.json, the same to the
last byte each time it is written:

    write_task(TASKS["nuclei_scaled"], folder, nuclei=Path("shared/data/nuclei"))
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from unetrt import vendor
from unetrt.data.brain import CLASSES as TISSUES
from unetrt.files import write_text

from . import labelled_images as source
from . import variants
from .labelled_images import Labelled

__all__ = ["TASKS", "Task", "write_task"]

Labels = Iterable[Labelled]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Say what a task is made of, and what is promised of it.

    Attributes:
        about: what is hard about it, in a few words.
        classes: names of the classes, the background first.
        numbered: labels tell objects apart.
        make: yields its images; takes the folder of nuclei.
        trained_as: the task whose model is tested on it, where it has none of its own.
        against: the task that it is compared with.
        loss: Dice that it may lose against that one.
        dice: the least Dice that is promised, by class.
        object_f1: the least F1 of objects that is promised.
    """

    about: str
    classes: tuple[str, ...]
    numbered: bool = False
    make: Callable[[Path], Labels]
    trained_as: str | None = None
    against: str | None = None
    loss: float | None = None
    dice: tuple[float, ...] = ()
    object_f1: float | None = None


def write_task(task: Task, folder: Path, *, nuclei: Path) -> None:
    """Write a task's data set into a folder.

    8-bit images become PNG, 16-bit ones too, floats TIFF, more than three channels NPY [1, height,
    width, channels], volumes NIfTI.

    Args:
        task: one of `TASKS`.
        folder: to be filled.
        nuclei: the folder of nuclei that some tasks are made of.

    Raises:
        BadInput: the nuclei, or the package that the images come in, are not here.
        MissingDependency: a brain task without nilearn and nibabel.
    """
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = io.StringIO()
    index = csv.writer(rows, lineterminator="\n")
    index.writerow(("file", "split"))
    dtype = np.uint16 if task.numbered else np.uint8
    for item in task.make(nuclei):
        file = _write(item.image, folder / "images" / item.name, volume=item.is_volume)
        _write(item.label.astype(dtype), folder / "labels" / item.name, volume=item.is_volume)
        index.writerow((file.name, item.part))
    write_text(folder / "index.csv", rows.getvalue())
    meaning = "instances" if task.numbered else "classes"
    description = {"classes": list(task.classes), "labels": meaning}
    write_text(folder / "dataset.json", json.dumps(description) + "\n")


_PNG_CHANNELS = (1, 3)


def _write(pixels: NDArray[Any], stem: Path, *, volume: bool) -> Path:
    def named(suffix: str) -> Path:
        return stem.with_name(stem.name + suffix)

    if volume:
        nibabel = vendor.nibabel()
        nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4)), named(".nii"))
        return named(".nii")
    if (*pixels.shape, 1)[2] not in _PNG_CHANNELS:
        np.save(named(".npy"), pixels[np.newaxis])
        return named(".npy")
    if pixels.dtype.kind == "f":
        tifffile.imwrite(named(".tif"), pixels)
        return named(".tif")
    Image.fromarray(pixels).save(named(".png"), compress_level=1)
    return named(".png")


def _of_nuclei(change: Callable[[Labels], Labels] = iter) -> Callable[[Path], Labels]:
    return lambda folder: change(source.nuclei(folder))


def _of_brain(change: Callable[[Labels], Labels] = iter) -> Callable[[Path], Labels]:
    return lambda _folder: change(source.brain())


_NUCLEUS = ("background", "nucleus")

_as_nuclei = partial(Task, classes=_NUCLEUS, numbered=True)
_as_brain = partial(Task, classes=TISSUES)

TASKS: dict[str, Task] = {
    "nuclei": _as_nuclei(
        about="334 fluorescence images", make=_of_nuclei(), dice=(0.925,), object_f1=0.88
    ),
    "brain": _as_brain(about="slices of a T1 template", make=_of_brain(), dice=(0.965, 0.96)),
    "bacteria": Task(
        about="20 large 16-bit frames, 1 % foreground",
        classes=("background", "bacterium"),
        numbered=True,
        make=lambda _folder: source.bacteria(),
    ),
    "hela": Task(
        about="200 tiles of 350 x 220, pixels about 33,000",
        classes=_NUCLEUS,
        numbered=True,
        make=lambda _folder: source.hela(),
    ),
    "structures": Task(
        about="float slices, six small structures",
        classes=("background", *source.STRUCTURES),
        make=lambda _folder: source.structures(),
    ),
    "trees": Task(
        about="RGB photographs, boxes for labels",
        classes=("background", "crown"),
        numbered=True,
        make=lambda _folder: source.trees(),
    ),
    "nuclei_scaled": _as_nuclei(
        about="a scale of its own for each file, uint8 and float32",
        make=_of_nuclei(variants.scaled),
        against="nuclei",
        loss=0.005,
    ),
    "brain_scaled": _as_brain(
        about="a scale of its own for each volume of three slices",
        make=_of_brain(lambda items: variants.scaled(variants.volumes(items))),
        against="brain",
        loss=0.005,
    ),
    "nuclei_pieces": _as_nuclei(
        about="11,690 pieces of 35 x 50",
        make=_of_nuclei(variants.pieces),
        against="nuclei",
        loss=0.02,
    ),
    "brain_pieces": _as_brain(
        about="pieces of 35 x 50", make=_of_brain(variants.pieces), against="brain", loss=0.02
    ),
    "temporal": _as_brain(
        about="200 volumes of 35 x 50 x 35, each of its own scale",
        make=lambda _folder: variants.temporal(),
    ),
    "hippocampus": Task(
        about="the same, two small classes",
        classes=("background", "front", "back"),
        make=lambda _folder: variants.hippocampus(),
    ),
    **{
        f"nuclei_zoom_{factor:g}": _as_nuclei(
            about=f"test images zoomed by {factor:g}",
            make=_of_nuclei(partial(variants.zoomed, factor=factor)),
            trained_as="nuclei",
            against="nuclei",
            loss=0.04,
        )
        for factor in (0.5, 0.7, 1.5, 2)
    },
    "few": _as_nuclei(about="five labelled images", make=_of_nuclei(variants.few)),
    "rare": Task(
        about="a class of 0.1 % of the pixels",
        classes=(*TISSUES, "lesion"),
        make=_of_brain(variants.lesions),
    ),
    "many": _as_nuclei(about="10,000 images of 64 x 64", make=_of_nuclei(variants.many)),
    "large": _as_nuclei(about="three images of 4,000 x 4,000", make=_of_nuclei(variants.large)),
    "channels": _as_nuclei(
        about="eight channels of other scales", make=_of_nuclei(variants.channels)
    ),
    "sizes": _as_nuclei(about="sizes from 60 to 512 in one set", make=_of_nuclei(variants.sizes)),
    "coloured": _as_nuclei(about="RGB, tints that differ", make=_of_nuclei(variants.coloured)),
    "sides": Task(
        about="left and right are classes",
        classes=("background", "left", "right"),
        make=_of_brain(variants.sides),
    ),
}
"""The tasks by name; the first are real, the others are made of them."""
