"""A network's layers in their Keras blocks: work, traffic, and the least time both allow.

Only layers with operations count: convolutions and matrix products. The others, pooling and the
like, an engine may fuse into those.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .numbers import sizes
from .row import Row

__all__ = ["Block", "Network", "networks_of"]

_HAIR = 1.001


@dataclass(frozen=True, slots=True)
class Block:
    """The layers of one Keras block.

    Attributes:
        attainable_ns: the least time that the ceilings allow; None without ceilings.
        by_memory_ns: what of it belongs to layers that the copy ceiling limits.
        attained: for each precision whose convolutions were timed alone, the median over them of
            the share of the ceilings that each reaches.
    """

    name: str
    flops: float
    bytes: float
    attainable_ns: float | None
    by_memory_ns: float
    attained: dict[str, float]

    @property
    def intensity(self) -> float:
        """FLOPs a byte."""
        return self.flops / self.bytes


@dataclass(frozen=True, slots=True)
class Network:
    """One network at one size, in one precision where the record says which."""

    name: str
    precision: str | None
    shape: tuple[int, int, int, int]
    flops: float
    bytes: float
    attainable_ns: float | None
    blocks: tuple[Block, ...]

    @property
    def title(self) -> str:
        """Name, shape, and precision where known."""
        words = f"{self.name}, {sizes(*self.shape)}"
        return words if self.precision is None else f"{words}, {self.precision}"

    @property
    def by_memory(self) -> float | None:
        """Share of the least time that belongs to layers limited by memory traffic."""
        if not self.attainable_ns:
            return None
        whole = sum(block.attainable_ns or 0.0 for block in self.blocks)
        return sum(block.by_memory_ns for block in self.blocks) / whole if whole else None

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that timed this network's core at this shape and precision."""
        return [
            row
            for row in rows
            if row.network == self.name
            and (row.batch, row.height, row.width, row.channels) == self.shape
            and row.scope == "core"
            and row.mode == "serialised"
            and self.precision in {None, row.precision}
        ]


def networks_of(record: dict[str, Any]) -> list[Network]:
    """Read the record's networks; a key may carry more than the name, after a slash."""
    return [_network(key, fields, record) for key, fields in record["networks"].items()]


def _network(key: str, fields: dict[str, Any], record: dict[str, Any]) -> Network:
    grouped: dict[str, list[dict[str, Any]]] = {}
    products = [layer for layer in fields["layers"] if layer["flops"]]
    for layer in products:
        grouped.setdefault(layer["block"] or layer["name"], []).append(layer)
    return Network(
        name=fields.get("network", key.partition("/")[0]),
        precision=fields.get("precision"),
        shape=(fields["batch"], fields["height"], fields["width"], fields["channels"]),
        flops=fields["flops"],
        bytes=sum(layer["bytes"] for layer in products),
        attainable_ns=fields["attainable_ns"],
        blocks=tuple(_block(name, layers, record) for name, layers in grouped.items()),
    )


def _block(name: str, layers: list[dict[str, Any]], record: dict[str, Any]) -> Block:
    ceilings = record["ceilings"]
    known = [layer for layer in layers if layer["attainable_ns"] is not None]
    by_memory = 0.0
    for layer in known if ceilings else ():
        traffic_ns = 1e9 * layer["bytes"] / ceilings["bytes_per_s"]
        by_memory += layer["attainable_ns"] if layer["attainable_ns"] <= _HAIR * traffic_ns else 0.0
    return Block(
        name=name,
        flops=sum(layer["flops"] for layer in layers),
        bytes=sum(layer["bytes"] for layer in layers),
        attainable_ns=sum(layer["attainable_ns"] for layer in known) if known else None,
        by_memory_ns=by_memory,
        attained=_attained(name, record["layers"] or []),
    )


def _attained(block: str, layers: list[dict[str, Any]]) -> dict[str, float]:
    shares: dict[str, list[float]] = {}
    for layer in layers:
        if layer["block"] == block and layer["attainable_ns"] is not None:
            share = layer["attainable_ns"] / layer["median_ns"]
            shares.setdefault(layer["precision"], []).append(share)
    return {precision: statistics.median(found) for precision, found in shares.items()}
