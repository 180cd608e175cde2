"""Load a folder of images/ and labels/ whose files are paired by name, in three parts.

Two files beside the folders say what cannot be read off the labels: `dataset.json` what their
numbers mean, `index.csv` which part of the data set each file belongs to.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetrt.data.dataset import IGNORED, Dataset, Sample
from unetrt.data.reading import IMAGE_SUFFIXES, VOLUME_SUFFIXES, data_files, read_pages, stem_of
from unetrt.errors import DataError

__all__ = ["load_folder", "split_of"]

_PARTS = ("train", "val", "test")
_SHARE = 0.15
_FEWEST_FILES = 3


def load_folder(folder: Path) -> Dataset:
    """Load a folder of images/ and labels/; each page of a stack or volume is a sample.

    Raises:
        DataError: no images, a label without its image or an image without its label, sizes that
            differ, labels outside the classes, an unreadable file, an unusable index.csv or
            dataset.json.
        MissingDependency: NIfTI volumes without nibabel.

    Example:
        >>> load_folder(Path("cells")).name
        'cells'
    """
    description = _read_description(folder)
    pages = [page for pair in _paired(folder) for page in _pages(*pair, axis=description.axis)]
    numbers = [_as_numbers(page.name, page.label) for page in pages]
    labelling = _labelling(folder, description, [page.label for page in pages], numbers)
    split = split_of(folder, list(dict.fromkeys(page.file for page in pages)))
    parts: dict[str, list[Sample]] = {part: [] for part in _PARTS}
    for page, label in zip(pages, numbers, strict=True):
        sample = Sample(
            page.name,
            page.image,
            labelling.classes_of(page.name, label),
            labelling.instances_of(label),
            group=page.file,
        )
        parts[split[page.file]].append(sample)
    return Dataset(folder.resolve().name, labelling.classes, *map(tuple, parts.values()))


def split_of(folder: Path, names: list[str]) -> dict[str, str]:
    """Return the part of each file, so that all slices of a volume are in one.

    By `index.csv` in `folder`; else drawn by name, the same each time: 15 % test, 15 % val, at
    least one each.

    Raises:
        DataError: the index cannot be used, or leaves a file out.
    """
    index = folder / "index.csv"
    if index.exists():
        return _indexed(index, names)
    drawn = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    share = max(1, round(_SHARE * len(names)))
    parts = ["test"] * share + ["val"] * share + ["train"] * (len(names) - 2 * share)
    return dict(zip(drawn, parts, strict=True))


def _indexed(index: Path, names: list[str]) -> dict[str, str]:
    try:
        with index.open(newline="", encoding="utf-8") as file:
            split = {row["file"]: row["split"] for row in csv.DictReader(file)}
    except (KeyError, OSError, ValueError, csv.Error) as error:
        raise DataError(
            f"Cannot use {index}", got=repr(error), expected="columns file and split"
        ) from error
    for name in names:
        if split.get(name) not in _PARTS:
            raise DataError(
                f"{index} does not place {name}",
                got=repr(split.get(name)),
                expected="train, val or test",
            )
    return split


class _Page(NamedTuple):
    """Hold one image with its label, and the file it came from."""

    file: str
    name: str
    image: NDArray[Any]
    label: NDArray[Any]


def _pages(image: Path, label: Path, *, axis: int) -> Iterator[_Page]:
    images, labels = read_pages(image, axis=axis), read_pages(label, axis=axis, palette=True)
    if len(images) != len(labels):
        raise DataError(
            f"Image and label of {image.name} differ in pages",
            got=f"{len(images)} and {len(labels)}",
            expected="as many labels as images",
        )
    for number, (pixels, numbers) in enumerate(zip(images, labels, strict=True)):
        if pixels.shape[:2] != numbers.shape[:2]:
            raise DataError(
                f"Image and label of {image.name} differ in size",
                got=f"{pixels.shape[:2]} and {numbers.shape[:2]}",
                expected="the same height and width",
            )
        stem = stem_of(image)
        name = stem if len(images) == 1 else f"{stem}_{number:03d}"
        yield _Page(image.name, name, pixels, numbers)


def _paired(folder: Path) -> list[tuple[Path, Path]]:
    for name in ("images", "labels"):
        if not (folder / name).is_dir():
            raise DataError(
                f"Cannot use {folder} as data",
                got=f"no folder {name}/ in it",
                expected="images/ and labels/ side by side, or the word brain",
            )
    images, labels = (_by_stem(folder / name) for name in ("images", "labels"))
    if len(images) < _FEWEST_FILES:
        raise DataError(
            f"There are not enough images in {folder / 'images'}",
            got=len(images),
            expected=f"at least {_FEWEST_FILES} files ending in "
            + ", ".join(IMAGE_SUFFIXES + VOLUME_SUFFIXES),
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
    for path in data_files(folder):
        other = files.setdefault(stem_of(path), path)
        if other != path:
            raise DataError(
                f"Two files in {folder} have one name",
                got=f"{other.name} and {path.name}",
                expected="names that differ before the suffix",
            )
    return files


_Meaning = Literal["classes", "instances", "mask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """Hold the contents of dataset.json.

    Attributes:
        classes: their names, the background first; read off the labels if empty.
        labels: the meaning of their numbers; read off them if None.
        ignore: the number of pixels whose class is unknown.
        axis: the axis that NIfTI volumes are sliced across.
    """

    classes: tuple[str, ...] = ()
    labels: _Meaning | None = None
    ignore: int | None = None
    axis: int = 2


def _read_description(folder: Path) -> _Description:
    path = folder / "dataset.json"
    if not path.exists():
        return _Description()
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read {path}", got=str(error), expected="JSON") from error
    classes: Any = stated.get("classes") if isinstance(stated, dict) else None
    usable = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not usable or not 2 <= len(classes) == len(set(classes)) <= IGNORED:  # noqa: PLR2004
        raise DataError(
            f"Cannot use {path}",
            got=f"classes {classes!r}",
            expected="a list of two or more different names, the background first",
        )
    fields = {"labels": "classes", "ignore": None, "axis": 2} | stated
    _check_description(path, fields)
    return _Description(**fields | {"classes": tuple(classes)})


def _check_description(path: Path, fields: dict[str, Any]) -> None:
    known = _Description.__dataclass_fields__
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise DataError(f"Cannot use {path}", got=", ".join(unknown), expected=", ".join(known))
    labels, ignore, axis = fields["labels"], fields["ignore"], fields["axis"]
    for name, fits, expected in (
        (
            "labels",
            labels in ("classes", "instances", "mask"),
            '"classes", "instances" or "mask"',
        ),
        (
            "ignore",
            ignore is None or type(ignore) is int,
            "the number of pixels whose class is unknown",
        ),
        ("axis", axis in (0, 1, 2) and type(axis) is int, "0, 1 or 2"),
    ):
        if not fits:
            raise DataError(f"Cannot use {path}", got=f"{name} {fields[name]!r}", expected=expected)
    if labels != "classes" and len(fields["classes"]) != 2:  # noqa: PLR2004
        raise DataError(
            f"Cannot use {path}",
            got=f"{len(fields['classes'])} classes for labels that are {labels!r}",
            expected="two, the background and what the labels show",
        )


_MOST_CLASSES = 32
_MASK = {0, 255}


class _Labelling(NamedTuple):
    """Turn the numbers of labels into classes and objects."""

    meaning: _Meaning
    classes: tuple[str, ...]
    ignore: int | None

    def classes_of(self, name: str, label: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return the classes of `label`, uint8, `IGNORED` where they are unknown.

        Raises:
            DataError: a number beyond the classes.
        """
        unknown = label == self.ignore if self.ignore is not None else np.zeros(label.shape, bool)
        known = label[~unknown]
        if self.meaning != "classes":
            classes = (label > 0).astype(np.uint8)
        elif known.size and not 0 <= known.min() <= known.max() < len(self.classes):
            outside = known.max() if known.max() >= len(self.classes) else known.min()
            raise DataError(
                f"The label of {name} lies outside the classes",
                got=int(outside),
                expected=f"0 to {len(self.classes) - 1} ({', '.join(self.classes)})",
                hint='list every class in dataset.json, or say there "ignore": '
                f"{outside} if nobody knows what these pixels are",
            )
        else:
            classes = label.astype(np.uint8)
        classes[unknown] = IGNORED
        return classes

    def instances_of(self, label: NDArray[np.int32]) -> NDArray[np.int32] | None:
        """Return the number of the object at each pixel, where labels tell objects apart."""
        if self.meaning != "instances":
            return None
        return label if self.ignore is None else np.where(label == self.ignore, 0, label)


def _as_numbers(name: str, page: NDArray[Any]) -> NDArray[np.int32]:
    """Return a label page [height, width, 1] as whole numbers [height, width]."""
    if page.shape[2] != 1:
        raise DataError(
            f"Cannot use the label {name}",
            got=f"{page.dtype} with {page.shape[2]} channels",
            expected="one channel of whole numbers, one number a class or an instance",
        )
    if page.dtype.kind == "f" and (page != np.rint(page)).any():
        fraction = float(page[page != np.rint(page)][0])
        raise DataError(
            f"Cannot use the label {name}",
            got=f"the fraction {fraction:g}",
            expected="whole numbers, one a class or an instance",
        )
    return page[:, :, 0].astype(np.int32)


def _labelling(
    folder: Path,
    description: _Description,
    pages: Sequence[NDArray[Any]],
    labels: Sequence[NDArray[Any]],
) -> _Labelling:
    """Return the meaning of labels: as described, else by their types and numbers."""
    meaning = description.labels or _meaning(folder, pages, labels)
    if description.classes:
        return _Labelling(meaning, description.classes, description.ignore)
    if meaning != "classes":
        return _Labelling(meaning, ("background", "foreground"), description.ignore)
    most = max(1, *(int(label.max()) for label in labels))
    names = (f"class{number}" for number in range(1, most + 1))
    return _Labelling(meaning, ("background", *names), description.ignore)


def _meaning(
    folder: Path, pages: Sequence[NDArray[Any]], labels: Sequence[NDArray[Any]]
) -> _Meaning:
    if any(page.dtype == np.uint16 for page in pages):
        return "instances"
    numbers = np.unique(np.concatenate([np.unique(label) for label in labels]))
    if set(numbers.tolist()) <= _MASK:
        return "mask"
    if numbers[0] >= 0 and numbers[-1] < _MOST_CLASSES:
        return "classes"
    raise DataError(
        f"Cannot tell what the labels in {folder / 'labels'} mean",
        got=f"values from {numbers[0]} to {numbers[-1]}",
        expected=f"16-bit instances, a mask of 0 and 255, or classes below {_MOST_CLASSES}",
        hint=f"say it in {folder / 'dataset.json'}: "
        '{"classes": ["background", "cell"], "labels": "instances"}, or with "ignore": 255',
    )
