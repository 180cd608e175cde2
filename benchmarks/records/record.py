"""The record of a benchmark: a versioned JSON file with every raw sample.

record.schema.json says it field by field. A reader refuses versions that it does not know.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from unetrt.errors import BadInput
from unetrt.files import write_text

from .row import Row

__all__ = ["KIND", "SCHEMA", "ComparedRows", "Failure", "Record", "read_record", "write_record"]

KIND = "unetrt-benchmark"
SCHEMA = 1
"""Raised when a field changes its meaning or goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRows:
    """How row b did beside row a.

    Attributes:
        a, b: ids of rows.
        ratio: median of b over median of a.
        low, high: 95 % bootstrap interval of the ratio; 0 and infinity (in JSON null) where one
            sample or turn of each tells nothing.
        null_low, null_high: the same of a against itself; None where no such run was made.
        rebuilds: of each.
        verdict: of b: "faster", "slower" or "cannot be told apart".
    """

    a: str
    b: str
    ratio: float
    low: float
    high: float
    null_low: float | None
    null_high: float | None
    rebuilds: int
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict; JSON has no infinity."""
        return {name: None if end == math.inf else end for name, end in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return what `to_json` stored."""
        ends = [("low", "high"), ("null_low", "null_high")]
        unbounded = [b for a, b in ends if stored[a] is not None and stored[b] is None]
        return cls(**stored | dict.fromkeys(unbounded, math.inf))


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that was asked for and is not there: its id, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A benchmark.

    Attributes:
        title: of its report.
        made: ISO 8601 time, UTC.
        command: that made it.
        machine: `describe_machine()`.
        rows: one for each way that was timed; no two of one id.
        comparisons: of rows.
        networks: by name: height, width, channels, batch, layers, flops, bytes, attainable_ns.
        ceilings: of the machine, as roofline.py measures them.
        layers: each convolution as its own engine.
        failures: what was asked for and is not in `rows`.
    """

    title: str
    made: str
    command: str
    machine: dict[str, Any]
    rows: tuple[Row, ...]
    comparisons: tuple[ComparedRows, ...] = ()
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    ceilings: dict[str, Any] | None = None
    layers: tuple[dict[str, Any], ...] | None = None
    failures: tuple[Failure, ...] = ()

    def __post_init__(self) -> None:
        twice = [name for name, n in Counter(row.id for row in self.rows).items() if n > 1]
        if twice:
            raise BadInput("Two rows of a benchmark are called the same", got=", ".join(twice))

    def row(self, name: str) -> Row:
        """Return the row of that id; KeyError where there is none."""
        return {row.id: row for row in self.rows}[name]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "schema": SCHEMA,
            "kind": KIND,
            "title": self.title,
            "made": self.made,
            "command": self.command,
            "machine": self.machine,
            "rows": [row.to_json() for row in self.rows],
            "comparisons": [one.to_json() for one in self.comparisons],
            "networks": self.networks,
            "ceilings": self.ceilings,
            "layers": None if self.layers is None else list(self.layers),
            "failures": [asdict(one) for one in self.failures],
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Return the record; KeyError, TypeError, ValueError or AttributeError where it is none."""
        layers = stored["layers"]
        return cls(
            title=stored["title"],
            made=stored["made"],
            command=stored["command"],
            machine=dict(stored["machine"]),
            rows=tuple(map(Row.from_json, stored["rows"])),
            comparisons=tuple(map(ComparedRows.from_json, stored["comparisons"])),
            networks=dict(stored["networks"]),
            ceilings=stored["ceilings"],
            layers=None if layers is None else tuple(layers),
            failures=tuple(Failure(**one) for one in stored["failures"]),
        )


def write_record(record: Record, path: Path) -> None:
    """Write it to `path`, whole or not at all.

    Raises:
        OutputError: `path` cannot be written.
    """
    # One row a line: a few thousand samples indented would be a few thousand lines.
    text = json.dumps(record.to_json(), allow_nan=False, separators=(",", ":"))
    write_text(path, text.replace('{"id":"', '\n{"id":"') + "\n")


def read_record(path: Path) -> Record:
    """Read what `write_record` wrote.

    Raises:
        BadInput: there is no such file, it is no record, or one of another version.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"There is no file {path}", hint="check the name") from error
    except (OSError, ValueError) as error:
        raise _no_record(path, error) from error
    if not isinstance(stored, dict) or stored.get("kind") != KIND:
        raise _no_record(path, "other JSON")
    if stored.get("schema") != SCHEMA:
        raise BadInput(
            f"{path} is a record of another version",
            got=f"schema {stored.get('schema')!r}",
            expected=f"schema {SCHEMA}",
            hint="make it again with this unetrt, or read it with the one that made it",
        )
    try:
        return Record.from_json(stored)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_record(path, repr(error)) from error


def _no_record(path: Path, got: object) -> BadInput:
    return BadInput(
        f"{path} is not the record of a benchmark",
        got=got,
        expected="a file that `unetrt bench --out` wrote",
    )
