"""The overlap-tile strategy (Ronneberger et al. 2015, figure 2), exactly: arithmetic alone.

A tile begins where the network's strides do, and of its answer only that is kept which no edge
of the tile, unless it is the image's own, can have reached. So tiles give what the whole gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from unetrt.errors import BadInput, ShapeError
from unetrt.sizes import ReceptiveField, SizeRule

__all__ = ["Span", "Tiling", "choose_tiling", "spans"]


class Span(NamedTuple):
    """A tile along one axis.

    Attributes:
        start: of the tile, in an image that fits the network.
        kept: first pixel of the whole answer that this tile gives.
        end: the pixel after the last.
    """

    start: int
    kept: int
    end: int


@dataclass(frozen=True, slots=True)
class Tiling:
    """How an image is cut.

    Attributes:
        tile: height and width of what the network sees at once.
        rows, columns: the tiles along each axis, in order.
    """

    tile: tuple[int, int]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def count(self) -> int:
        """How many times the network runs."""
        return len(self.rows) * len(self.columns)

    @property
    def pixels(self) -> int:
        """How many pixels the network sees in all."""
        return self.count * self.tile[0] * self.tile[1]


def spans(
    side: int, tile: int, sizes: SizeRule, *, before: int = 0, after: int = 0
) -> tuple[Span, ...]:
    """Cut one axis of an image that fits the network into tiles that do.

    Args:
        side: of the image, by `sizes`.
        tile: of each tile, by `sizes`; one that is larger than the image is as large.
        sizes: which sides fit, and by how much answers are smaller.
        before: how many pixels before its own place the network looks; see ReceptiveField.
        after: how many pixels after it.

    Raises:
        ShapeError: a side that does not fit, or a tile too small to keep anything of.
    """
    for name, length in (("image", side), ("tile", tile)):
        if not sizes.fits(length):
            raise ShapeError(
                f"The network cannot halve this {name}", got=length, expected=f"{sizes}"
            )
    answer = side - 2 * sizes.margin
    if tile >= side:
        return (Span(0, 0, answer),)
    step = (tile - before - after) // sizes.multiple * sizes.multiple
    if step < 1:
        raise ShapeError(
            "The tile is too small for this network",
            got=f"{tile} pixels",
            expected=f"at least {sizes.at_least(before + after + sizes.multiple)}: what it says of "
            f"a pixel depends on {before} before and {after} after it",
        )
    cut: list[Span] = []
    kept = 0
    for start in range(0, side - tile, step):
        cut.append(Span(start, kept, start + tile - after))
        kept = cut[-1].end
    return (*cut, Span(side - tile, kept, answer))


def choose_tiling(
    sides: tuple[int, int],
    rules: tuple[SizeRule, SizeRule],
    field: ReceptiveField,
    *,
    most_pixels: float,
    least: tuple[int, int] = (1, 1),
    most: tuple[float, float] = (math.inf, math.inf),
) -> Tiling:
    """Choose the tiles that compute the fewest pixels.

    Args:
        sides: height and width of an image that fits the network.
        rules: which heights and which widths fit.
        field: of the network.
        most_pixels: that the network may see at once.
        least: height and width of the smallest tile there may be.
        most: of the largest.

    Raises:
        BadInput: no tile is that small, as the network looks further; or it looks everywhere.
    """
    rows, columns = (
        _options(side, rule, (before, after), ends)
        for side, rule, before, after, ends in zip(
            sides, rules, field.before, field.after, zip(least, most, strict=True), strict=True
        )
    )
    fitting = [
        Tiling((tall, wide), down, across)
        for (tall, down), (wide, across) in product(rows, columns)
        if tall * wide <= most_pixels and (field.is_bounded or len(down) == len(across) == 1)
    ]
    if fitting:
        return min(fitting, key=lambda tiling: (tiling.pixels, tiling.count))
    needed = [
        rule.at_least(before + after + rule.multiple)
        for rule, before, after in zip(rules, field.before, field.after, strict=True)
    ]
    raise BadInput(
        f"Cannot cut an image of {sides[0]} x {sides[1]} into exact tiles",
        got=f"room for {min(most_pixels, most[0] * most[1]):.0f} pixels at once"
        if field.is_bounded
        else f"{field.unbounded_by}, which sees the whole image",
        expected=f"{needed[0]} x {needed[1]} or more, so far does the network look"
        if field.is_bounded
        else "layers that see a neighbourhood",
        hint="allow more memory, build the engine for larger images, or take tiles that are not "
        "exact: --tiling blended",
    )


def _options(
    side: int, rule: SizeRule, looks: tuple[int, int], ends: tuple[int, float]
) -> list[tuple[int, tuple[Span, ...]]]:
    """Return, for each number of tiles along an axis, the smallest tile that makes so few."""
    before, after = looks
    options: dict[int, tuple[int, tuple[Span, ...]]] = {}
    useful = rule.at_least(before + after + rule.multiple)
    first = max(min(useful, side), rule.at_least(ends[0]))
    for tile in range(first, int(min(side, ends[1])) + 1, rule.multiple):
        cut = spans(side, tile, rule, before=before, after=after)
        options.setdefault(len(cut), (tile, cut))
    return list(options.values())
