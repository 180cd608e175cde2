"""What a figure is made of. Python gives coordinates, the template draws and escapes.

Panels are as wide as a phone; on a wider screen several stand side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["WIDTH", "Axis", "Legend", "Mark", "Panel", "Words", "dot", "polyline"]

WIDTH = 360


@dataclass(frozen=True, slots=True)
class Mark:
    """A path.

    Attributes:
        shape: SVG path data.
        style: classes of the style sheet.
        tip: shown where a pointer rests on it.
        down: pixels by which it is lowered.
    """

    shape: str
    style: str
    tip: str = ""
    down: float = 0


@dataclass(frozen=True, slots=True)
class Words:
    """Text at a point; `anchor` is "start", "middle" or "end"."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    style: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """Ticks with their labels, and what is measured along them."""

    ticks: Sequence[tuple[float, str]]
    title: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing.

    Attributes:
        title: heads it.
        told: what it shows, for those who cannot see it.
        left, top, right, bottom: the frame within which marks lie, in pixels.
    """

    title: str
    told: str
    height: int
    left: float
    top: float
    right: float
    bottom: float
    x: Axis
    y: Axis | None = None
    marks: list[Mark] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    width: int = WIDTH


@dataclass(frozen=True, slots=True)
class Legend:
    """One entry of a key, in a box of 24 x 14 pixels."""

    mark: Mark
    name: str


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Return path data through `points`."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


_SHAPES = (  # of each: its path, and two lengths for a radius of one
    ("m-{r} 0a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z", 1.0, 2.0),  # disc
    ("m-{r} -{r}h{d}v{d}h-{d}z", 0.9, 1.8),  # square
    ("m0 -{d}l{d} {d}l-{d} {d}l-{d} -{d}z", 0.0, 1.3),  # diamond
    ("m0 -{d}l{d} {w}h-{w2}z", 0.0, 1.25),  # triangle
    ("m0 {d}l{d} -{w}h-{w2}z", 0.0, 1.25),  # triangle on its tip
    ("m-{r} -{d}h{d}v{r}h{r}v{d}h-{r}v{r}h-{d}v-{r}h-{r}v-{d}h{r}z", 0.55, 1.1),  # cross
)


def dot(x: float, y: float, kind: int = 0, radius: float = 3.5) -> str:
    """Return path data of a marker at a point; `kind` chooses its shape."""
    path, r, d = _SHAPES[kind % len(_SHAPES)]
    r, d = r * radius, d * radius
    sizes = {"r": r, "d": d, "w": 1.6 * d, "w2": 2 * d}
    return f"M{x:g} {y:g}" + path.format(**{name: f"{size:g}" for name, size in sizes.items()})
