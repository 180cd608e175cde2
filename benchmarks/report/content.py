"""Collect all that a report shows, once; the page and the Markdown file lay it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from ..record import PRECISIONS, Record, Row
from .charts import (
    MARKERS,
    Chart,
    attained_charts,
    batch_charts,
    comparison_charts,
    distribution_charts,
    markers_of,
    roofline_charts,
    share_charts,
    size_charts,
)
from .findings import Tile, findings, tiles
from .tables import (
    Table,
    all_rows,
    attainable_times,
    comparisons,
    failures,
    machine,
    stages,
    throttled,
    warnings,
)
from .views import networks_of, pairs_of, precision_pairs

__all__ = ["Content", "Key", "Section", "Settings"]


@dataclass(frozen=True, slots=True)
class Key:
    """Explain a colour or a marker.

    Attributes:
        sign: letter that looks like it.
        colour: name of a variable of the style sheet.
    """

    sign: str
    colour: str
    name: str


@dataclass(frozen=True, slots=True)
class Section:
    """Hold a heading, a note, charts and a table; one without charts and rows is left out.

    Attributes:
        anchor: id of the heading.
        keys: of the charts' colours and markers.
        unfolded: number of charts that stand open; the others fold out.
    """

    anchor: str
    title: str
    note: str
    charts: Sequence[Chart] = ()
    keys: Sequence[Key] = ()
    table: Table | None = None
    unfolded: int = 6

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to show."""
        return not self.charts and (self.table is None or not self.table.rows)


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold the settings of a library, and the number of rows that it ran with them."""

    library: str
    peer: bool
    values: tuple[tuple[str, str], ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Content:
    """Hold the content of a report.

    Attributes:
        findings: sentences.
        tiles: figures to be seen first.
        rows: the table of all rows.
    """

    title: str
    subtitle: str
    findings: list[str]
    tiles: list[Tile]
    sections: list[Section]
    settings: list[Settings]
    rows: Table

    @classmethod
    def of(cls, record: Record) -> Self:
        """Draw, count and word a record.

        Raises:
            MissingDependency: matplotlib is not installed.
        """
        rows, networks, pairs = record.rows, networks_of(record), pairs_of(record)
        precise = precision_pairs(pairs)
        known = [{pair.a.id, pair.b.id} for pair in precise]
        others = [pair for pair in pairs if {pair.a.id, pair.b.id} not in known]
        compared = [*precise, *others]
        colours, markers = _colour_keys(rows), _marker_keys(markers_of(rows))
        sections = [
            Section("latency", "Latency distributions", _DISTRIBUTIONS,
                    distribution_charts(rows), colours),
            Section("comparisons", "Comparisons", _COMPARISONS, comparison_charts(compared),
                    (*colours, *_VERDICTS), comparisons(compared)),
            Section("batch", "Latency by batch", _MEDIANS, batch_charts(rows),
                    (*colours, *markers)),
            Section("size", "Latency by image size", _MEDIANS, size_charts(rows),
                    (*colours, *markers)),
            Section("roofline", "Roofline", _ROOFLINE, roofline_charts(record, networks),
                    (*colours, _BLOCK, *markers), attainable_times(networks)),
            Section("shares", "Attainable time by block", _SHARES, share_charts(networks),
                    _LIMITS),
            Section("attained", "Convolutions timed alone, by block", _ATTAINED,
                    attained_charts(networks), colours),
            Section("stages", "Stages of a run", _STAGES, table=stages(rows)),
            Section("throttled", "Throttled windows", _THROTTLED, table=throttled(rows)),
            Section("warnings", "Warnings", "", table=warnings(rows)),
            Section("missing", "Missing rows", "", table=failures(record)),
            Section("machine", "Machine", "", table=machine(record)),
        ]  # fmt: skip
        gpu = record.machine.get("gpu")
        device = record.machine["cpu"] if gpu is None else gpu["name"]
        return cls(
            title=record.title,
            subtitle=f"{device} · {record.made}",
            findings=findings(record, precise, networks),
            tiles=tiles(record, precise),
            sections=[section for section in sections if not section.empty],
            settings=_settings(rows),
            rows=all_rows(rows),
        )


_DISTRIBUTIONS = (
    "A histogram of every sample: the height of a bar is the square root of its count, so that one "
    "slow sample among thousands is seen. The long tick is the median, the short ones are the "
    "percentiles that the number of samples is enough for. No sample is left out. Unless a title "
    "says otherwise, a run begins when the one before it is done."
)
_COMPARISONS = (
    "Ratio of medians b / a with its 95 % bootstrap interval, from interleaved runs. The grey band "
    "is the A/A test: the same interval of a against itself, which is what this machine shows "
    "where there is no difference. Verdicts clear both."
)
_MEDIANS = (
    "Medians, both axes logarithmic. Colour is the precision, the marker the library; one with a "
    "rim was throttled."
)
_ROOFLINE = (
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
_THROTTLED = "The device held its clocks back; rows measured then are marked."

_LIMITS = (
    Key("■", "fp32", "limited by arithmetic"),
    Key("■", "fp16", "limited by memory traffic"),
)
_BLOCK = Key("○", "soft", "a Keras block, attainable")
_VERDICTS = (
    Key("●", "other", "faster or slower"),
    Key("○", "other", "cannot be told apart"),
)


def _colour_keys(rows: Sequence[Row]) -> tuple[Key, ...]:
    used = {row.precision for row in rows}
    return tuple(Key("■", name, name) for name in PRECISIONS if name in used)


def _marker_keys(markers: Mapping[str, str]) -> tuple[Key, ...]:
    return tuple(Key(MARKERS[marker], "other", library) for library, marker in markers.items())


def _settings(rows: Sequence[Row]) -> list[Settings]:
    found = Counter(
        (row.peer, row.backend, tuple((name, str(v)) for name, v in row.configuration.items()))
        for row in rows
    )
    return [
        Settings(library, peer, values, count)
        for (peer, library, values), count in sorted(found.items())
        if values
    ]
