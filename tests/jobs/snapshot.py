"""Compare the shape of a JSON document with one that is stored.

The shape has the document's keys. Words, whole numbers, flags and nulls are kept; fractions are
only said to be numbers; hashes, times, versions and paths only to be that. With
UNETRT_UPDATE_SNAPSHOTS=1 in the environment, what was found is stored instead.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = "UNETRT_UPDATE_SNAPSHOTS"
UNKNOWN = "<any>"
NUMBER = "<number>"

_SHORTENED = (
    (re.compile(r"(?<![^\s'\"])/\S*/(?=[^/\s])"), "<folder>/"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:]+\+00:00"), "<time>"),
    (re.compile(r"\b\d+\.\d+\.\d+[-\w./]*"), "<version>"),
)
_MEASURED = re.compile(r"_(ns|ms|s|mhz|w|c)$")
"""Names that end in a unit of time, clock, power or temperature: their numbers are measured."""


def check_snapshot(
    name: str, document: Any, *, unknown: Sequence[str] = (), folder: Path = SNAPSHOTS
) -> None:
    """Compare the shape of a document with the stored one, and show where they differ.

    `unknown` are patterns of paths, such as "rows.windows.*", below which anything may stand.
    """
    found = _text(shape_of(document, unknown))
    stored = folder / f"{name}.json"
    if os.environ.get(UPDATE) == "1":
        stored.write_text(found, encoding="utf-8")
        return
    assert stored.exists(), f"there is no {stored.name}: run with {UPDATE}=1"
    expected = stored.read_text(encoding="utf-8")
    difference = difflib.unified_diff(
        expected.splitlines(), found.splitlines(), f"stored {name}", f"found {name}", "", "", 6, ""
    )
    lines = [line.rstrip("\n") for line in difference]
    if lines:
        raise AssertionError("\n".join([*lines, f"where this is intended: {UPDATE}=1"]))


def shape_of(value: Any, unknown: Sequence[str] = (), path: str = "") -> Any:
    """Return what a snapshot keeps of a document."""
    if path and any(fnmatchcase(path, pattern) for pattern in unknown):
        return UNKNOWN
    if isinstance(value, dict):
        return {
            _shortened(key): shape_of(part, unknown, f"{path}.{key}" if path else key)
            for key, part in value.items()
        }
    if isinstance(value, list):
        parts = [shape_of(part, unknown, path) for part in value]
        return _distinct(parts)
    if isinstance(value, float) or (type(value) is int and _is_measured(path)):
        return NUMBER
    return _shortened(value) if isinstance(value, str) else value


def _is_measured(path: str) -> bool:
    return any(_MEASURED.search(name) for name in path.split("."))


def _shortened(text: str) -> str:
    for pattern, short in _SHORTENED:
        text = pattern.sub(short, text)
    return text


def _distinct(parts: list[Any]) -> list[Any]:
    """Drop repeated objects and measured numbers; a shape such as [1, 32, 32, 1] stays whole."""
    return [
        part
        for index, part in enumerate(parts)
        if not (isinstance(part, dict) or part == NUMBER) or part not in parts[:index]
    ]


def _text(shape: Any) -> str:
    return json.dumps(shape, indent=1, sort_keys=True) + "\n"
