"""Say what the numbers of a label mean: classes, objects, or something and nothing.

`dataset.json` beside the folders holds what the owner of the data says of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetrt.data.dataset import IGNORED
from unetrt.errors import DataError

__all__ = ["as_numbers", "labelling", "read_description"]

Meaning = Literal["classes", "instances", "mask"]

_KEYS = ("classes", "labels", "ignore", "axis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is known of a folder's labels.

    Attributes:
        classes: their names, the background first; read off the labels if empty.
        labels: what their numbers mean; read off them if None.
        ignore: the number of pixels that nobody knows.
        axis: that NIfTI volumes are sliced across.
    """

    classes: tuple[str, ...] = ()
    labels: Meaning | None = None
    ignore: int | None = None
    axis: int = 2


def read_description(folder: Path) -> Description:
    """Read `dataset.json` in `folder`, or nothing where there is none.

    Raises:
        DataError: it cannot be read, or says what cannot be.
    """
    path = folder / "dataset.json"
    if not path.exists():
        return Description()
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"Cannot read {path}", got=str(error), expected="JSON") from error
    classes: Any = said.get("classes") if isinstance(said, dict) else None
    usable = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not usable or not 2 <= len(classes) == len(set(classes)) < 256:  # noqa: PLR2004
        raise DataError(
            f"Cannot use {path}",
            got=f"classes {classes!r}",
            expected="a list of two or more different names, the background first",
        )
    own = {"labels": "classes", "ignore": None, "axis": 2} | said
    _check(path, own)
    return Description(
        classes=tuple(classes), labels=own["labels"], ignore=own["ignore"], axis=own["axis"]
    )


def _check(path: Path, said: dict[str, Any]) -> None:
    unknown = sorted(set(said) - set(_KEYS))
    if unknown:
        raise DataError(f"Cannot use {path}", got=", ".join(unknown), expected=", ".join(_KEYS))
    for name, fits, expected in (
        (
            "labels",
            said["labels"] in ("classes", "instances", "mask"),
            '"classes", "instances" or "mask"',
        ),
        (
            "ignore",
            said["ignore"] is None or type(said["ignore"]) is int,
            "the number of what nobody knows",
        ),
        ("axis", said["axis"] in (0, 1, 2) and type(said["axis"]) is int, "0, 1 or 2"),
    ):
        if not fits:
            raise DataError(f"Cannot use {path}", got=f"{name} {said[name]!r}", expected=expected)
    if said["labels"] != "classes" and len(said["classes"]) != 2:  # noqa: PLR2004
        raise DataError(
            f"Cannot use {path}",
            got=f"{len(said['classes'])} classes for labels that are {said['labels']!r}",
            expected="two, the background and what the labels show",
        )


_MOST_CLASSES = 32
_MASK = {0, 255}


class Labelling(NamedTuple):
    """How label numbers become classes."""

    meaning: Meaning
    classes: tuple[str, ...]
    ignore: int | None

    def classes_of(self, name: str, label: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Return the classes of `label`, uint8, what is ignored being `IGNORED`.

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
        """Return the objects' numbers, where labels tell objects apart."""
        if self.meaning != "instances":
            return None
        return label if self.ignore is None else np.where(label == self.ignore, 0, label)


def as_numbers(name: str, page: NDArray[Any]) -> NDArray[np.int32]:
    """Return a label page [height, width, 1] as whole numbers [height, width].

    Raises:
        DataError: several channels, or fractions.
    """
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


def labelling(
    folder: Path, said: Description, pages: Sequence[NDArray[Any]], labels: Sequence[NDArray[Any]]
) -> Labelling:
    """Return what labels mean: by what is said of them, else by what they look like.

    Raises:
        DataError: they could mean anything.
    """
    meaning = said.labels or _meaning(folder, pages, labels)
    if said.classes:
        return Labelling(meaning, said.classes, said.ignore)
    if meaning != "classes":
        return Labelling(meaning, ("background", "foreground"), said.ignore)
    most = max(1, *(int(label.max()) for label in labels))
    names = (f"class{number}" for number in range(1, most + 1))
    return Labelling(meaning, ("background", *names), said.ignore)


def _meaning(
    folder: Path, pages: Sequence[NDArray[Any]], labels: Sequence[NDArray[Any]]
) -> Meaning:
    if any(page.dtype == np.uint16 for page in pages):
        return "instances"
    seen = np.unique(np.concatenate([np.unique(label) for label in labels]))
    if set(seen.tolist()) <= _MASK:
        return "mask"
    if seen[0] >= 0 and seen[-1] < _MOST_CLASSES:
        return "classes"
    raise DataError(
        f"Cannot tell what the labels in {folder / 'labels'} mean",
        got=f"values from {seen[0]} to {seen[-1]}",
        expected=f"16-bit instances, a mask of 0 and 255, or classes below {_MOST_CLASSES}",
        hint=f"say it in {folder / 'dataset.json'}: "
        '{"classes": ["background", "cell"], "labels": "instances"}, or with "ignore": 255',
    )
