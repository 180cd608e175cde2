"""What the numbers of a label mean: classes, objects, or something and nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetrt.data.dataset import IGNORED
from unetrt.data.description import Description, Meaning
from unetrt.errors import DataError

__all__ = ["Labelling", "as_numbers", "labelling"]

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
