"""A folder of one's own: images/ and labels/, files paired by name.

Beside them may lie

- `dataset.json`: {"classes": ["background", "nucleus"], "labels": "classes"}, where the labels
  may also be a "mask" (nothing and something) or number "instances";
- `index.csv` with the columns `file` and `split` (train, val or test).

Without `dataset.json` the labels' meaning is read off them: 16-bit labels number instances, labels
of 0 and 255 are a mask, and others that are all small are classes.
"""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.data.dataset import Dataset, Sample
from unetrt.data.images import SUFFIXES, image_files, read_image
from unetrt.errors import DataError

__all__ = ["load_folder"]

_MOST_CLASSES = 32
_FEWEST_IMAGES = 3


def load_folder(folder: Path) -> Dataset:
    """Load a folder of images/ and labels/.

    Raises:
        DataError: no images, a label without its image or an image without its label, sizes that
            differ, labels outside the classes, an unreadable file, an unusable index.
    """
    pairs = _paired(folder)
    raw = {image.name: (read_image(image), _read_label(label)) for image, label in pairs}
    for name, (image, label) in raw.items():
        if image.shape[:2] != label.shape:
            raise DataError(
                f"Image and label of {name} differ in size",
                got=f"{image.shape[:2]} and {label.shape}",
                expected="the same height and width",
            )
    described = _description(folder)
    labels = {name: label for name, (_, label) in raw.items()}
    meaning = described.get("labels") or _meaning(folder, labels)
    classes = tuple(described.get("classes") or _class_names(labels, meaning))
    samples = {
        name: Sample(Path(name).stem, image, _as_classes(name, label, meaning, classes))
        for name, (image, label) in raw.items()
    }
    split = _split(folder, list(samples))
    return Dataset(
        folder.resolve().name,
        classes,
        *(
            tuple(sample for name, sample in samples.items() if split[name] == part)
            for part in ("train", "val", "test")
        ),
    )


def _paired(folder: Path) -> list[tuple[Path, Path]]:
    for name in ("images", "labels"):
        if not (folder / name).is_dir():
            raise DataError(
                f"Cannot use {folder} as data",
                got=f"no folder {name}/ in it",
                expected="images/ and labels/ side by side, or the word brain",
            )
    images, labels = (_by_stem(folder / name) for name in ("images", "labels"))
    if len(images) < _FEWEST_IMAGES:
        raise DataError(
            f"There are not enough images in {folder / 'images'}",
            got=len(images),
            expected=f"at least {_FEWEST_IMAGES} files ending in {', '.join(SUFFIXES)}",
        )
    for one, other, what in ((images, labels, "label"), (labels, images, "image")):
        alone = sorted(one.keys() - other.keys())
        if alone:
            raise DataError(
                f"{one[alone[0]]} has no {what}",
                got=f"{len(alone)} such files" if len(alone) > 1 else None,
                expected=f"a file named {alone[0]}.* in {folder / (what + 's')}",
            )
    return [(images[stem], labels[stem]) for stem in images]


def _by_stem(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in image_files(folder):
        other = files.setdefault(path.stem, path)
        if other != path:
            raise DataError(
                f"Two files in {folder} have one name",
                got=f"{other.name} and {path.name}",
                expected="names that differ before the suffix",
            )
    return files


def _read_label(path: Path) -> NDArray[np.integer[Any]]:
    label = read_image(path, palette=True)
    if label.shape[2] != 1 or label.dtype.kind not in "ui":
        raise DataError(
            f"Cannot use the label {path}",
            got=f"{label.dtype} with {label.shape[2]} channels",
            expected="one channel of whole numbers, one number a class or an instance",
        )
    return label[:, :, 0]


def _description(folder: Path) -> dict[str, Any]:
    path = folder / "dataset.json"
    if not path.exists():
        return {}
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read {path}", got=str(error), expected="JSON") from error
    classes: Any = described.get("classes") if isinstance(described, dict) else None
    usable = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not usable or not 2 <= len(classes) == len(set(classes)):  # noqa: PLR2004
        raise DataError(
            f"Cannot use {path}",
            got=f"classes {classes!r}",
            expected="a list of two or more different names, the background first",
        )
    meaning = described.get("labels", "classes")
    if meaning not in ("classes", "instances", "mask"):
        raise DataError(
            f"Cannot use {path}",
            got=f"labels {meaning!r}",
            expected='"classes", "instances" or "mask"',
        )
    if meaning != "classes" and len(classes) != 2:  # noqa: PLR2004
        raise DataError(
            f"Cannot use {path}",
            got=f"{len(classes)} classes for labels that are {meaning!r}",
            expected="two, the background and what the labels show",
        )
    return {**described, "labels": meaning}


def _meaning(folder: Path, labels: dict[str, NDArray[Any]]) -> str:
    if any(label.dtype == np.uint16 for label in labels.values()):
        return "instances"
    seen = np.unique(np.concatenate([np.unique(label) for label in labels.values()]))
    if set(seen.tolist()) <= {0, 255}:
        return "mask"
    if seen[-1] < _MOST_CLASSES:
        return "classes"
    raise DataError(
        f"Cannot tell what the labels in {folder / 'labels'} mean",
        got=f"values up to {seen[-1]}",
        expected=f"16-bit instances, a mask of 0 and 255, or classes below {_MOST_CLASSES}",
        hint=f"say it in {folder / 'dataset.json'}: "
        '{"classes": ["background", "cell"], "labels": "instances"}',
    )


def _class_names(labels: dict[str, NDArray[Any]], meaning: str) -> list[str]:
    if meaning != "classes":
        return ["background", "foreground"]
    most = max(1, *(int(label.max()) for label in labels.values()))
    return ["background", *(f"class{number}" for number in range(1, most + 1))]


def _as_classes(
    name: str, label: NDArray[Any], meaning: str, classes: tuple[str, ...]
) -> NDArray[np.uint8]:
    if meaning != "classes":
        return (label > 0).astype(np.uint8)
    if int(label.max()) >= len(classes) or int(label.min()) < 0:
        outside = int(label.max()) if int(label.max()) >= len(classes) else int(label.min())
        raise DataError(
            f"The label of {name} lies outside the classes",
            got=outside,
            expected=f"0 to {len(classes) - 1} ({', '.join(classes)})",
            hint="list every class in dataset.json",
        )
    return label.astype(np.uint8)


def _split(folder: Path, names: list[str]) -> dict[str, str]:
    """By index.csv; else a fixed draw by name: 15 % test, 15 % val, at least one each."""
    index = folder / "index.csv"
    if index.exists():
        return _indexed_split(index, names)
    drawn = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    share = max(1, round(0.15 * len(names)))
    parts = ["test"] * share + ["val"] * share + ["train"] * (len(names) - 2 * share)
    return dict(zip(drawn, parts, strict=True))


def _indexed_split(index: Path, names: list[str]) -> dict[str, str]:
    try:
        with index.open(newline="", encoding="utf-8") as file:
            split = {row["file"]: row["split"] for row in csv.DictReader(file)}
    except (KeyError, OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"Cannot use {index}", got=repr(error), expected="columns file and split"
        ) from error
    for name in names:
        if split.get(name) not in ("train", "val", "test"):
            raise DataError(
                f"{index} does not place {name}",
                got=repr(split.get(name)),
                expected="train, val or test",
            )
    return split
