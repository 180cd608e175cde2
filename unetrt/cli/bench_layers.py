"""`unetrt bench --layers`: show each convolution beside what the machine could do with it."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from unetrt.benchmarks.roofline.layers import LayerBench
from unetrt.benchmarks.roofline.roofline import Roofline
from unetrt.cli.output import figure, table

__all__ = ["layer_tables"]

_DOUBTFUL = 1.05
"""A share of what the machine can do that no layer should reach."""


def layer_tables(found: LayerBench) -> list[Table | str]:
    """Return the tables and sentences that show it."""
    shown: list[Table | str] = [_layers(found)]
    if found.rooflines:
        shown.append(_blocks(found.rooflines))
    shown.append(found.ceilings_note)
    count = len(found.times)
    above = sum((share or 0) > _DOUBTFUL for share in found.shares())
    if above:
        shown.append(
            f"{above} of {count} were faster than the ceilings allow: these were measured on "
            "a busy machine, or the library multiplies less than is counted (Winograd)"
        )
    if found.failures:
        first = found.failures[0].reason
        shown.append(f"{len(found.failures)} of {count} did not run. The first: {first}")
    return shown


def _layers(found: LayerBench) -> Table:
    rows = []
    for one, share in zip(found.times, found.shares(), strict=True):
        cost, alike = one.layer.cost, len(one.layer.also)
        limit = None if found.ceilings is None else one.limit(found.ceilings, found.computes_in)
        rows.append(
            [
                cost.name + (f" (and {alike} alike)" if alike else ""),
                one.precision,
                figure(cost.flops / 1e9, 2),
                figure(cost.nbytes / 1e6, 1),
                figure(None if limit is None else _us(limit.attainable_ns), 1),
                figure(_us(one.median_ns), 1),
                "-" if share is None else f"{share:.0%}",
                (limit and limit.bound_by) or "-",
            ]
        )
    shape = " x ".join(map(str, found.shape))
    title = f"Each convolution on its own at {shape}; not to be added up"
    columns = ["", "type", "GFLOP", "MB", "at best, us", "median, us", "of the best", "limit"]
    return table(title, columns, rows)


def _blocks(rooflines: Mapping[str, Roofline]) -> Table:
    """Return the least time for each Keras block, the files side by side."""
    blocks = dict.fromkeys(block for roof in rooflines.values() for block in roof.blocks_ns)
    rows = [
        [block, *(figure(_us(roof.blocks_ns.get(block)), 1) for roof in rooflines.values())]
        for block in blocks
    ]
    whole = (figure(_us(roof.attainable_ns), 1) for roof in rooflines.values())
    rows.append(["the network", *whole])
    return table("The best that the machine could do, us", ["", *rooflines], rows)


def _us(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e3
