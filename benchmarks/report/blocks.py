"""Bars of each Keras block: its part of the least time, and how much of the ceilings it reaches."""

from __future__ import annotations

from collections.abc import Sequence

from .network import Block, Network
from .numbers import share
from .panel import Legend, Mark, Panel
from .scale import Scale
from .strips import LEFT, RIGHT, Strip, strip_panel
from .style import colour

__all__ = ["LIMITS", "attained_panels", "share_panels"]

LIMITS = [
    Legend(Mark("M3 2h18v10h-18z", f"area {kind}"), f"limited by {words}")
    for kind, words in (("arithmetic", "arithmetic"), ("memory", "memory traffic"))
]
"""The key of `share_panels`."""


def share_panels(networks: Sequence[Network]) -> list[Panel]:
    """Draw each block's share of the least time that the ceilings allow."""
    return [_shares(network) for network in networks if network.attainable_ns]


def _shares(network: Network) -> Panel:
    whole = sum(block.attainable_ns or 0.0 for block in network.blocks)
    parts = [(block, (block.attainable_ns or 0.0) / whole) for block in network.blocks]
    scale = Scale(0.0, 105 * max(part for _, part in parts), LEFT, RIGHT)
    strips = [
        Strip(block.name, share(part), _stacked(block, whole, scale)) for block, part in parts
    ]
    told = "; ".join(f"{block.name} {share(part)}" for block, part in parts)
    title = network.title
    return strip_panel(
        title,
        f"Share of the least time of {title} by block. {told}.",
        strips,
        scale,
        "% of the least time that the ceilings allow",
    )


def _stacked(block: Block, whole: float, scale: Scale) -> list[Mark]:
    memory = 100 * block.by_memory_ns / whole
    part = 100 * (block.attainable_ns or 0.0) / whole
    return [
        _bar(scale(0.0), scale(part - memory), 2, 12, "area arithmetic", "limited by arithmetic"),
        _bar(scale(part - memory), scale(part), 2, 12, "area memory", "limited by memory traffic"),
    ]


def attained_panels(networks: Sequence[Network]) -> list[Panel]:
    """Draw what share of the ceilings each block's convolutions reach, each timed alone."""
    panels = []
    seen: set[str] = set()
    for network in networks:
        blocks = [block for block in network.blocks if block.attained]
        if blocks and network.name not in seen:
            seen.add(network.name)
            panels.append(_attained(network.name, blocks))
    return panels


def _attained(name: str, blocks: list[Block]) -> Panel:
    highest = max(part for block in blocks for part in block.attained.values())
    scale = Scale(0.0, 105 * max(1.0, highest), LEFT, RIGHT)
    strips = []
    for block in blocks:
        height = 15 / len(block.attained)
        marks = [
            _bar(scale(0.0), scale(100 * part), 1 + place * height, height - 1,
                 f"area {colour(precision)}", f"{precision} {share(part)}")
            for place, (precision, part) in enumerate(block.attained.items())
        ]  # fmt: skip
        words = " · ".join(f"{name} {share(part)}" for name, part in block.attained.items())
        strips.append(Strip(block.name, words, marks))
    told = "; ".join(f"{strip.name}: {strip.figure}" for strip in strips)
    return strip_panel(
        name,
        f"Share of the ceilings that the convolutions of {name} reach, by block. {told}.",
        strips,
        scale,
        "% of the ceilings' speed: the median convolution",
        at=100.0,
    )


def _bar(start: float, end: float, top: float, height: float, style: str, tip: str) -> Mark:
    return Mark(f"M{start:g} {top:g}H{end:g}v{height:g}H{start:g}z", style, tip)
