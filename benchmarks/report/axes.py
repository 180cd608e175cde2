"""Lay out the axes that charts are drawn on: strips over one axis, or a plane."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from unetrt import vendor
from unetrt.report import colours, styled_figure

from .numbers import rounded

__all__ = ["Strip", "places", "plane_axes", "round_ticks", "span_of", "strip_axes"]

_WIDTH, _SIDE = 360, 10
"""Pixels of a chart: as wide as a phone; on a wider screen several stand side by side."""
_STRIP, _FOOT, _HEAD = 40, 38, 4
"""Pixels: a strip is a line of text and a drawing below it."""
_MOST_LETTERS = 46


@dataclass(frozen=True, slots=True)
class Strip:
    """Head a strip: a name on the left, which stands out if `warned`, a figure on the right."""

    name: str
    figure: str
    warned: bool = False


@contextmanager
def strip_axes(
    strips: Sequence[Strip], unit: str, span: tuple[float, float], *, log: bool = False
) -> Iterator[tuple[Any, Any]]:
    """Give a figure with one x axis for all strips; its y axis is in pixels from the top."""
    tall = _STRIP * len(strips)
    height = _HEAD + tall + _FOOT
    with styled_figure(_WIDTH, height) as drawing:
        frame = (_SIDE / _WIDTH, _FOOT / height, 1 - 2 * _SIDE / _WIDTH, tall / height)
        axes = drawing.add_axes(frame)
        axes.set(xscale="log" if log else "linear", xlim=span, ylim=(tall, 0), xlabel=unit)
        axes.set_autoscale_on(False)
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        axes.grid(axis="x")
        round_ticks(axes.xaxis, span, log=log)
        across = axes.get_yaxis_transform()
        for y, strip in zip(places(strips, 13), strips, strict=True):
            ink = colours()["warn" if strip.warned else "ink"]
            axes.text(0, y, _shortened(strip.name), transform=across, color=ink)
            axes.text(1, y, strip.figure, transform=across, ha="right", weight="bold")
        yield drawing, axes


def places(strips: Sequence[object], down: float) -> list[float]:
    """Return the height of something in each strip, so many pixels below the strip's top."""
    return [_STRIP * k + down for k in range(len(strips))]


@contextmanager
def plane_axes(height: float) -> Iterator[tuple[Any, Any]]:
    """Give a figure with one pair of axes."""
    with styled_figure(_WIDTH, height) as drawing:
        axes = drawing.add_axes((52 / _WIDTH, 40 / height, 1 - 64 / _WIDTH, 1 - 48 / height))
        axes.grid()
        yield drawing, axes


def span_of(values: Sequence[float], *, log: bool, margin: float = 0.05) -> tuple[float, float]:
    """Return ends that hold every value with a margin; nothing is clipped."""
    held = [value for value in values if value > 0 or not log] or [1.0]
    low, high = min(held), max(held)
    if low == high:
        return (low / 1.25, high * 1.25) if log else (low - 0.5, high + 0.5)
    if log:
        spare = (high / low) ** margin
        return low / spare, high * spare
    return low - margin * (high - low), high + margin * (high - low)


def round_ticks(
    axis: Any, span: tuple[float, float], *, log: bool, label: Callable[[float], str] = rounded
) -> None:
    """Place at most six ticks at round values, written without powers of ten."""
    ticker = vendor.matplotlib().ticker
    decades = math.log10(span[1] / span[0]) if log else 0.0
    steps = (1.0, 2.0, 5.0) if decades < 2 else (1.0, 3.0) if decades < 3 else (1.0,)  # noqa: PLR2004
    axis.set_major_locator(
        ticker.LogLocator(subs=steps, numticks=6)
        if decades >= 1
        else ticker.MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
    )
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _place: label(value)))
    axis.set_minor_locator(ticker.NullLocator())


def _shortened(name: str) -> str:
    """Cut a name that would run into the figure beside it; tables have it whole."""
    return name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…"
