"""Which files are trained on, chosen by, and judged on."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from unetrt.errors import DataError

__all__ = ["split_of"]

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
