"""Panels of rows: a name and a figure above, what they stand for drawn below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .panel import WIDTH, Axis, Mark, Panel, Words
from .scale import Scale

__all__ = ["LEFT", "RIGHT", "Strip", "strip_panel"]

LEFT, RIGHT = 10.0, WIDTH - 10.0
_TOP, _HEIGHT, _FOOT = 4, 40, 38


@dataclass(frozen=True, slots=True)
class Strip:
    """One row.

    Attributes:
        marks: drawn with y from 0 (upper edge) to 18 (lower edge).
        warned: whether its name stands out, as that of a row that was throttled.
    """

    name: str
    figure: str
    marks: Sequence[Mark] = field(default_factory=list)
    warned: bool = False


def strip_panel(
    title: str,
    told: str,
    strips: Sequence[Strip],
    scale: Scale,
    unit: str,
    at: float | None = None,
) -> Panel:
    """Stack rows over one axis; `at` is a value that every row is held against."""
    bottom = _TOP + _HEIGHT * len(strips)
    panel = Panel(
        title=title,
        told=told,
        height=bottom + _FOOT,
        left=LEFT,
        top=_TOP,
        right=RIGHT,
        bottom=bottom,
        x=Axis(scale.ticks(), unit),
    )
    if at is not None:
        panel.marks.append(Mark(f"M{scale(at):g} {_TOP}V{bottom}", "reference"))
    for place, strip in enumerate(strips):
        y = _TOP + _HEIGHT * place
        warned = "warned" if strip.warned else ""
        panel.words.append(Words(LEFT, y + 13, strip.name, style=warned))
        panel.words.append(Words(RIGHT, y + 13, strip.figure, "end", "strong"))
        panel.marks.extend(replace(mark, down=y + 18) for mark in strip.marks)
    return panel
