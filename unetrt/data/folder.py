"""Load a folder of images/ and labels/ whose files are paired by name, split into three parts."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from unetrt.data.dataset import Dataset, Sample
from unetrt.data.labels import as_numbers, labelling, read_description
from unetrt.data.reading import SUFFIXES, VOLUME_SUFFIXES, data_files, read_pages, stem_of
from unetrt.errors import DataError

__all__ = ["load_folder", "split_of"]

PARTS = ("train", "val", "test")
_SHARE = 0.15


def split_of(folder: Path, names: list[str]) -> dict[str, str]:
    """Return the part of each file, so that all slices of a volume are in one.

    By `index.csv` in `folder`; else a draw by name, the same each time: 15 % test, 15 % val, at
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
        if split.get(name) not in PARTS:
            raise DataError(
                f"{index} does not place {name}",
                got=repr(split.get(name)),
                expected="train, val or test",
            )
    return split


_FEWEST_FILES = 3


class _Page(NamedTuple):
    """One image with its label, and the file it came from."""

    file: str
    name: str
    image: NDArray[Any]
    label: NDArray[Any]


def load_folder(folder: Path) -> Dataset:
    """Load a folder of images/ and labels/.

    Raises:
        DataError: no images, a label without its image or an image without its label, sizes that
            differ, labels outside the classes, an unreadable file, an unusable index or
            description.
        MissingDependency: NIfTI volumes without nibabel.
    """
    said = read_description(folder)
    pages = [page for pair in _paired(folder) for page in _pages(*pair, axis=said.axis)]
    numbers = [as_numbers(page.name, page.label) for page in pages]
    found = labelling(folder, said, [page.label for page in pages], numbers)
    split = split_of(folder, list(dict.fromkeys(page.file for page in pages)))
    parts: dict[str, list[Sample]] = {part: [] for part in PARTS}
    for page, label in zip(pages, numbers, strict=True):
        sample = Sample(
            page.name,
            page.image,
            found.classes_of(page.name, label),
            found.instances_of(label),
            group=page.file,
        )
        parts[split[page.file]].append(sample)
    return Dataset(folder.resolve().name, found.classes, *map(tuple, parts.values()))


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
            + ", ".join(SUFFIXES + VOLUME_SUFFIXES),
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
