"""All that the report shows, made once from a record; the page and the Markdown file lay it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from .blocks import LIMITS, attained_panels, share_panels
from .distributions import distribution_panels
from .findings import Tile, findings, tiles
from .network import networks_of
from .pairs import pair_panels, pairs_of, precision_pairs
from .panel import Legend, Panel
from .roofline import roofline_panels
from .row import Row, rows_of
from .scaling import batch_panels, size_panels
from .style import key, libraries
from .tables import (
    Table,
    all_rows,
    comparisons,
    failures,
    least_times,
    machine,
    stages,
    warnings,
    windows,
)

__all__ = ["Configuration", "Content", "Section"]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what is to be known of it, its figures and its table; what is empty is left out.

    Attributes:
        shown: how many figures stand open; the others fold out.
    """

    anchor: str
    title: str
    note: str
    panels: Sequence[Panel] = ()
    keys: Sequence[Legend] = ()
    table: Table | None = None
    shown: int = 6

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not self.panels and (self.table is None or not self.table.rows)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a library was set to, and the rows that it ran so."""

    name: str
    peer: bool
    settings: tuple[tuple[str, str], ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Content:
    """What the page and the Markdown file show."""

    title: str
    subtitle: str
    words: list[str]
    tiles: list[Tile]
    sections: list[Section]
    configurations: list[Configuration]
    rows: Table

    @classmethod
    def of(cls, record: dict[str, Any]) -> Self:
        """Draw, count and word a record."""
        rows, networks = rows_of(record), networks_of(record)
        pairs = pairs_of(record, rows)
        precise = precision_pairs(pairs)
        markers = libraries(rows)
        sections = [
            Section("distributions", "Every run", _RUNS, distribution_panels(rows), key(rows, {})),
            Section("precision", "Precisions side by side", _PAIRS, pair_panels(precise), (),
                    comparisons(precise)),
            Section("batch", "Latency against batch", _MEDIANS, batch_panels(rows),
                    key(rows, markers)),
            Section("size", "Latency against size", _MEDIANS, size_panels(rows),
                    key(rows, markers)),
            Section("roofline", "Under the roofline", _ROOF,
                    roofline_panels(record, networks, rows), key(rows, markers),
                    least_times(networks)),
            Section("shares", "What the least time goes to", _SHARES, share_panels(networks),
                    LIMITS),
            Section("attained", "How near each block comes", _ATTAINED, attained_panels(networks),
                    key(rows, {})),
            Section("stages", "Where the time goes", _STAGES, table=stages(rows)),
            Section("others", "Other comparisons", _PAIRS,
                    table=comparisons([pair for pair in pairs if pair not in precise])),
            Section("throttled", "Throttled windows", _THROTTLED, table=windows(rows)),
            Section("warnings", "Warnings", "", table=warnings(rows)),
            Section("missing", "What is missing, and why", "", table=failures(record)),
            Section("machine", "The machine", "", table=machine(record)),
        ]  # fmt: skip
        gpu = record["machine"].get("gpu")
        device = record["machine"]["cpu"] if gpu is None else gpu["name"]
        return cls(
            title=record["title"],
            subtitle=f"{device} · {record['made']}",
            words=findings(record, rows, precise, networks),
            tiles=tiles(rows, precise),
            sections=[section for section in sections if not section.empty],
            configurations=_configurations(rows),
            rows=all_rows(rows),
        )


_RUNS = (
    "Each bar is one pixel of time; its height is the square root of how many runs fell there, so "
    "that one slow run among thousands is seen. The long tick is the median, the short ones the "
    "percentiles that the number of runs carries. No run is left out. Unless a title says "
    "otherwise, a run begins when the one before it is done."
)
_PAIRS = (
    "Ratio of medians b / a with its 95 % bootstrap interval, from interleaved runs. The A/A run "
    "is a against itself: what this machine shows where there is no difference."
)
_MEDIANS = (
    "Medians, both axes logarithmic. Colour is the precision, the marker the library; one with a "
    "rim was throttled."
)
_ROOF = (
    "Lines are the ceilings that this machine reached in a matrix product and a copy. Rings are "
    "the network's Keras blocks, at the speed that the ceilings allow them. Filled markers are the "
    "whole network as timed."
)
_SHARES = (
    "The least time that the ceilings allow the convolutions and products of each Keras block, one "
    "after another. It ranks the blocks; it is no latency."
)
_ATTAINED = (
    "Each convolution timed as an engine of its own. Such times are never added up to a latency."
)
_STAGES = (
    "Medians, each by the clock that sees it. They overlap, so they do not add up to the first."
)
_THROTTLED = "The device slowed itself down; rows measured then are marked."


def _configurations(rows: Sequence[Row]) -> list[Configuration]:
    found: dict[tuple[bool, str, tuple[tuple[str, str], ...]], int] = {}
    for row in rows:
        settings = tuple((name, str(value)) for name, value in row.fields["configuration"].items())
        named = (row.peer, row.backend, settings)
        found[named] = found.get(named, 0) + 1
    return [
        Configuration(name, peer, settings, rows)
        for (peer, name, settings), rows in sorted(found.items())
        if settings
    ]
