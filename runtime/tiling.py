"""Cut images into overlapping tiles: arithmetic alone, nothing here runs a network.

Exact tiles follow the overlap-tile strategy (Ronneberger et al. 2015, figure 2): a tile begins
where the network's strides do, and of its output only that is kept which no edge of the tile,
unless it is the image's own, can have reached. So tiles give what the whole gives.

Blended tiles overlap by half and are averaged, as in nnU-Net (Isensee et al. 2021, Nature Methods
18, "Inference" in its methods; in its code, inference/sliding_window_prediction.py): a Gaussian of
an eighth of the tile, and steps of a half. They suit any network and any memory, and are not exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import BadInput, ShapeError
from unetrt.sizes import ReceptiveField, SizeRule

__all__ = ["Tiling", "choose_blended", "choose_tiling", "gaussian_weights", "spans"]


class Span(NamedTuple):
    """Place a tile along one axis.

    Attributes:
        start: of the tile, in an image that fits the network.
        kept: first pixel of the whole output that is taken from this tile.
        end: the pixel after the last one taken.
    """

    start: int
    kept: int
    end: int


@dataclass(frozen=True, slots=True)
class Tiling:
    """Cut an image of [height, width] into tiles.

    Attributes:
        tile: height and width in pixels of what the network runs on at once.
        rows, columns: the tiles along each axis, in order.
    """

    tile: tuple[int, int]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def count(self) -> int:
        """Return the number of tiles: of runs of the network."""
        return len(self.rows) * len(self.columns)

    @property
    def pixels(self) -> int:
        """Return the pixels that the network computes in all, those of overlaps each time."""
        return self.count * self.tile[0] * self.tile[1]


def spans(
    side: int, tile: int, sizes: SizeRule, *, before: int = 0, after: int = 0
) -> tuple[Span, ...]:
    """Cut one axis of an image that fits the network into tiles that do.

    Args:
        side: of the image, by `sizes`.
        tile: of each tile, by `sizes`; one that is larger than the image is as large.
        sizes: which sides fit, and by how much outputs are smaller.
        before: pixels of the receptive field before an output pixel; see ReceptiveField.
        after: pixels of it after.

    Raises:
        ShapeError: a side that does not fit, or a tile too small to keep anything of.
    """
    for name, length in (("image", side), ("tile", tile)):
        if not sizes.fits(length):
            raise ShapeError(
                f"The network cannot halve this {name}", got=length, expected=f"{sizes}"
            )
    whole = side - 2 * sizes.margin
    if tile >= side:
        return (Span(0, 0, whole),)
    step = (tile - before - after) // sizes.multiple * sizes.multiple
    if step < 1:
        raise ShapeError(
            "The tile is too small for this network",
            got=f"{tile} pixels",
            expected=f"at least {sizes.at_least(before + after + sizes.multiple)}: its receptive "
            f"field has {before} pixels before and {after} after each pixel",
        )
    cut: list[Span] = []
    kept = 0
    for start in range(0, side - tile, step):
        cut.append(Span(start, kept, start + tile - after))
        kept = cut[-1].end
    return (*cut, Span(side - tile, kept, whole))


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
        most_pixels: of one tile, as memory allows.
        least: height and width of the smallest tile there may be.
        most: of the largest.

    Raises:
        BadInput: no tile is that small for this receptive field, or the field is unbounded.

    >>> rule, field = SizeRule(multiple=4), ReceptiveField((8, 8), (8, 8), (4, 4))
    >>> tiling = choose_tiling((100, 60), (rule, rule), field, most_pixels=60 * 60)
    >>> tiling.tile, [span.kept for span in tiling.rows], tiling.count
    ((60, 60), [0, 52], 2)
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
        expected=f"{needed[0]} x {needed[1]} or more, by the receptive field of the network"
        if field.is_bounded
        else "layers that see a neighbourhood",
        hint="allow more memory, build the engine for larger images, or take tiles that are not "
        "exact: `tiling='blended'`",
    )


def _options(
    side: int, rule: SizeRule, field: tuple[int, int], ends: tuple[int, float]
) -> list[tuple[int, tuple[Span, ...]]]:
    """Return, for each number of tiles along an axis, the smallest tile that makes so few."""
    before, after = field
    options: dict[int, tuple[int, tuple[Span, ...]]] = {}
    useful = rule.at_least(before + after + rule.multiple)
    first = max(min(useful, side), rule.at_least(ends[0]))
    for tile in range(first, int(min(side, ends[1])) + 1, rule.multiple):
        cut = spans(side, tile, rule, before=before, after=after)
        options.setdefault(len(cut), (tile, cut))
    return list(options.values())


_STEP = 0.5
"""Of the tile, from one to the next, at most."""

_SIGMA = 1 / 8
"""Of the tile's side."""


def gaussian_weights(height: int, width: int) -> NDArray[np.float32]:
    """Return the weight of each pixel of a tile's output, [height, width]; 1 in the middle.

    None is 0, so that a pixel of one tile alone has an output.

    >>> gaussian_weights(3, 1).ravel().round(3).astype(str).tolist()
    ['0.029', '1.0', '0.029']
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
    """Spread tiles evenly over an axis, both measured in output pixels."""
    count = 1 if tile >= side else math.ceil((side - tile) / (tile * _STEP)) + 1
    starts = [round(k * (side - tile) / max(1, count - 1)) for k in range(count)]
    return tuple(
        Span(start, start, end) for start, end in zip(starts, [*starts[1:], side], strict=True)
    )
