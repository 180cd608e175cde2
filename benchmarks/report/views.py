"""Join and order a record's rows, comparisons and networks for its report."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..record import PRECISIONS, Comparison, Record, Row
from .numbers import sizes

__all__ = [
    "Block",
    "Network",
    "Pair",
    "case_of",
    "cases_of",
    "networks_of",
    "ordered",
    "pairs_of",
    "precision_pairs",
    "scope_of",
    "title_of",
]

_SCOPES = {"core": "core", "end_to_end": "end to end"}
_HAIR = 1.001
"""Two times this near are one: both were computed from the same ceiling."""


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by network, size, batch, scope, mode, library and precision; peers come last."""
    rows = list(rows)
    networks = list(dict.fromkeys(row.network for row in rows))

    def place(row: Row) -> tuple[Any, ...]:
        return (
            networks.index(row.network), row.height, row.width, row.batch,
            row.scope != "core", row.mode != "serialised", row.mode, row.peer, row.backend,
            PRECISIONS.index(row.precision), row.rebuild, row.id,
        )  # fmt: skip

    return sorted(rows, key=place)


def scope_of(row: Row) -> str:
    """Name a row's scope; also its mode where that is not the usual one, serialised."""
    scope = _SCOPES[row.scope]
    return scope if row.mode == "serialised" else f"{scope}, {row.mode.replace('_', ' ')}"


def case_of(row: Row) -> str:
    """Name the case of a row: rows of one case differ in library, precision and rebuild alone."""
    rate = "" if row.rate_per_s is None else f" at {row.rate_per_s:g} a second"
    return f"{row.network}, {sizes(*row.shape)}, {scope_of(row)}{rate}"


def title_of(row: Row) -> str:
    """Name a row in one line."""
    return f"{row.label}: {case_of(row)}"


def cases_of(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Group rows by case, the cases in the order in which they were measured."""
    cases: dict[str, list[Row]] = {}
    for row in rows:
        cases.setdefault(case_of(row), []).append(row)
    return {case: ordered(sharing) for case, sharing in cases.items()}


@dataclass(frozen=True, slots=True)
class Pair:
    """Join a comparison with its two rows."""

    a: Row
    b: Row
    comparison: Comparison

    @property
    def same_case(self) -> bool:
        """Tell whether the rows differ in library, precision and rebuild alone."""
        return case_of(self.a) == case_of(self.b)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the ratio; None where it has no bounds."""
        return _bounded(self.comparison.low, self.comparison.high)

    @property
    def null(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the A/A test; None without one or without bounds."""
        return _bounded(self.comparison.null_low, self.comparison.null_high)


def _bounded(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None or high == math.inf else (low, high)


def pairs_of(record: Record) -> list[Pair]:
    """Return the comparisons of rows that the record has, in the order of the rows b."""
    place = {row.id: (k, row) for k, row in enumerate(ordered(record.rows))}
    known = [one for one in record.comparisons if one.a in place and one.b in place]
    known.sort(key=lambda one: (place[one.b][0], place[one.a][0]))
    return [Pair(place[one.a][1], place[one.b][1], one) for one in known]


def precision_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that differ in precision alone, FP32 (or TF32) as the baseline."""
    found = []
    for pair in pairs:
        a, b = pair.a, pair.b
        alike = pair.same_case and (a.backend, a.rebuild) == (b.backend, b.rebuild)
        if not alike or a.precision == b.precision:
            continue
        if b.precision == "fp32" or (b.precision == "tf32" and a.precision != "fp32"):
            found.append(Pair(b, a, pair.comparison.inverted()))
        elif a.precision in {"fp32", "tf32"}:
            found.append(pair)
    return found


@dataclass(frozen=True, slots=True)
class Block:
    """Hold the convolutions and matrix products of one Keras block.

    Other layers, pooling and the like, an engine may fuse into those.

    Attributes:
        flops: of a run.
        bytes: read and written by a run.
        attainable_ns: the least time that the ceilings allow; None without ceilings.
        by_memory_ns: of it, in layers that the copy ceiling limits.
        attained: for each precision whose convolutions were timed alone, the median over them of
            the share of the ceiling that each reaches.
    """

    name: str
    flops: float
    bytes: float
    attainable_ns: float | None
    by_memory_ns: float
    attained: dict[str, float]

    @property
    def intensity(self) -> float:
        """Return the arithmetic intensity, in FLOP a byte."""
        return self.flops / self.bytes


@dataclass(frozen=True, slots=True)
class Network:
    """Hold one network at one size, in one precision where the record says which.

    Attributes:
        shape: batch, height, width, channels.
        flops, bytes: of a run.
        attainable_ns: the least time that the ceilings allow; None without ceilings.
    """

    name: str
    precision: str | None
    shape: tuple[int, int, int, int]
    flops: float
    bytes: float
    attainable_ns: float | None
    blocks: tuple[Block, ...]

    @property
    def title(self) -> str:
        """Name it with its shape, and its precision where known."""
        words = f"{self.name}, {sizes(*self.shape)}"
        return words if self.precision is None else f"{words}, {self.precision}"

    @property
    def intensity(self) -> float:
        """Return the arithmetic intensity, in FLOP a byte."""
        return self.flops / self.bytes

    @property
    def by_memory(self) -> float | None:
        """Return the share of the attainable time in layers that memory traffic limits."""
        if not self.attainable_ns:
            return None
        whole = sum(block.attainable_ns or 0.0 for block in self.blocks)
        return sum(block.by_memory_ns for block in self.blocks) / whole if whole else None

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that timed this network's core at this shape and precision."""
        return [
            row
            for row in rows
            if (row.network, row.shape) == (self.name, self.shape)
            and (row.scope, row.mode) == ("core", "serialised")
            and self.precision in {None, row.precision}
        ]


def networks_of(record: Record) -> list[Network]:
    """Return the record's networks; a key may carry more than the name, after a slash."""
    return [_network(key, fields, record) for key, fields in record.networks.items()]


def _network(key: str, fields: dict[str, Any], record: Record) -> Network:
    grouped: dict[str, list[dict[str, Any]]] = {}
    products = [layer for layer in fields["layers"] if layer["flops"]]
    for layer in products:
        grouped.setdefault(layer["block"] or layer["name"], []).append(layer)
    return Network(
        name=key.partition("/")[0],
        precision=fields.get("precision"),
        shape=(fields["batch"], fields["height"], fields["width"], fields["channels"]),
        flops=fields["flops"],
        bytes=sum(layer["bytes"] for layer in products),
        attainable_ns=fields["attainable_ns"],
        blocks=tuple(_block(name, layers, record) for name, layers in grouped.items()),
    )


def _block(name: str, layers: list[dict[str, Any]], record: Record) -> Block:
    known = [layer for layer in layers if layer["attainable_ns"] is not None]
    copied = math.inf if record.ceilings is None else record.ceilings["bytes_per_s"]
    by_memory = [
        layer["attainable_ns"]
        for layer in known
        if layer["attainable_ns"] <= _HAIR * 1e9 * layer["bytes"] / copied
    ]
    return Block(
        name=name,
        flops=sum(layer["flops"] for layer in layers),
        bytes=sum(layer["bytes"] for layer in layers),
        attainable_ns=sum(layer["attainable_ns"] for layer in known) if known else None,
        by_memory_ns=sum(by_memory),
        attained=_attained(name, record.layers or ()),
    )


def _attained(block: str, layers: Iterable[dict[str, Any]]) -> dict[str, float]:
    shares: dict[str, list[float]] = {}
    for layer in layers:
        if layer["block"] == block and layer["attainable_ns"] is not None:
            share = layer["attainable_ns"] / layer["median_ns"]
            shares.setdefault(layer["precision"], []).append(share)
    return {precision: statistics.median(found) for precision, found in shares.items()}
