"""Tiles that overlap by half and are averaged: for networks and memory that exact ones do not suit.

As nnU-Net does it (Isensee et al. 2021, Nature Methods 18, "Inference" in its methods; in its code,
inference/sliding_window_prediction.py): a Gaussian of an eighth of the tile, and steps of a half.
What comes out depends on the tiles. Nothing here runs a network.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import BadInput
from unetrt.sizes import SizeRule

from .tiling import Span, Tiling

__all__ = ["choose_blended", "gaussian_weights"]

_STEP = 0.5
"""Of the tile, from one to the next, at most."""

_SIGMA = 1 / 8
"""Of the tile's side."""


def gaussian_weights(height: int, width: int) -> NDArray[np.float32]:
    """Return how much each pixel of a tile's answer counts, [height, width]; 1 in the middle.

    None is 0, so that what one tile alone sees has an answer.
    """
    along = []
    for side in (height, width):
        places = np.arange(side) - (side - 1) / 2
        along.append(np.exp(-0.5 * (places / (side * _SIGMA)) ** 2))
    weights: NDArray[np.float32] = np.outer(*along).astype(np.float32)
    return weights


def choose_blended(
    sides: tuple[int, int],
    rules: tuple[SizeRule, SizeRule],
    *,
    most_pixels: float,
    least: tuple[int, int] = (1, 1),
    most: tuple[float, float] = (math.inf, math.inf),
) -> Tiling:
    """Choose the largest tiles, square where the image is; arguments as of `choose_tiling`.

    The rows of a tile that the next one does not reach are `kept` to `end`.

    Raises:
        BadInput: not even the smallest tile fits.
    """
    room = [min(side, end) for side, end in zip(sides, most, strict=True)]
    tall = _at_most(rules[0], min(room[0], max(math.sqrt(most_pixels), most_pixels / room[1])))
    wide = _at_most(rules[1], min(room[1], most_pixels / max(1, tall)))
    smallest = [rule.at_least(end) for rule, end in zip(rules, least, strict=True)]
    if tall < smallest[0] or wide < smallest[1]:
        raise BadInput(
            f"Cannot cut an image of {sides[0]} x {sides[1]} into tiles",
            got=f"room for {most_pixels:.0f} pixels at once",
            expected=f"{smallest[0]} x {smallest[1]} or more",
            hint="allow more memory",
        )
    rows, columns = (
        _spans(side - 2 * rule.margin, tile - 2 * rule.margin)
        for side, tile, rule in zip(sides, (tall, wide), rules, strict=True)
    )
    return Tiling((tall, wide), rows, columns)


def _at_most(rule: SizeRule, side: float) -> int:
    """Return the largest side that fits and is not above `side`; 0 if none is."""
    whole = math.floor(side)
    fitting = whole - (whole - rule.remainder) % rule.multiple
    return fitting if rule.fits(fitting) else 0


def _spans(side: int, tile: int) -> tuple[Span, ...]:
    """Spread tiles evenly over an axis, both measured in the answer."""
    count = 1 if tile >= side else math.ceil((side - tile) / (tile * _STEP)) + 1
    starts = [round(k * (side - tile) / max(1, count - 1)) for k in range(count)]
    return tuple(
        Span(start, start, end) for start, end in zip(starts, [*starts[1:], side], strict=True)
    )
