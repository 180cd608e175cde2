"""`dataset.json`: what a folder's owner says about its labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from unetrt.errors import DataError

__all__ = ["Description", "Meaning", "read_description"]

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
