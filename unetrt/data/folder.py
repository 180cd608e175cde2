"""A folder of one's own: images/ and labels/, files paired by name.

Files are images, or stacks and volumes of them, whose slices all stay in one part of the set.
Beside the two folders may lie

- `dataset.json`: {"classes": ["background", "nucleus"], "labels": "classes"}, where the labels
  may also be a "mask" (nothing and something) or number "instances"; "ignore" names the number of
  pixels that nobody knows, "axis" the one that NIfTI volumes are sliced across;
- `index.csv` with the columns `file` and `split` (train, val or test).

Without `dataset.json` the labels' meaning is read off them: 16-bit labels number instances, labels
of 0 and 255 are a mask, and others that are all small are classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from unetrt.data.dataset import Dataset, Sample
from unetrt.data.description import read_description
from unetrt.data.images import SUFFIXES
from unetrt.data.labels import as_numbers, labelling
from unetrt.data.split import PARTS, split_of
from unetrt.data.volumes import VOLUME_SUFFIXES, data_files, read_pages, stem_of
from unetrt.errors import DataError

__all__ = ["load_folder"]

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
