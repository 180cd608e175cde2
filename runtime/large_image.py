"""Images of any size through a network, a row of tiles at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .mirrored import ImageSource, mirrored_window
from .tiling import Tiling

__all__ = ["Rows", "tiled_rows"]


class Rows(NamedTuple):
    """Some rows of an answer, over the whole width of the image.

    Attributes:
        top: the first of them.
        answer: [rows, width] of classes, or [rows, width, classes] of probabilities.
    """

    top: int
    answer: NDArray[Any]


def tiled_rows(
    image: ImageSource,
    tiling: Tiling,
    margin: int,
    answer_of: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    first: int = 0,
    on_tile: Callable[[int], None] = lambda _done: None,
) -> Iterator[Rows]:
    """Yield the answer to an image from above to below; no more than a row of tiles is held.

    Args:
        image: [height, width, channels].
        tiling: of the image mirrored out to what the network takes.
        margin: by which the network's answers are smaller.
        answer_of: maps pixels [1, tile height, tile width, channels] to
            [1, answer height, answer width] or that with classes.
        first: how many rows of tiles to leave out, which an earlier run has made.
        on_tile: gets the number of tiles done, those left out included.
    """
    height, width = image.shape[:2]
    for number, row in enumerate(tiling.rows[first:], start=first):
        end = min(row.end, height)
        if row.kept >= end:
            continue  # all of it is mirrored
        made: NDArray[Any] | None = None
        for place, column in enumerate(tiling.columns, start=1):
            right = min(column.end, width)
            if column.kept < right:
                x = mirrored_window(image, row.start - margin, column.start - margin, *tiling.tile)
                answer = answer_of(x[np.newaxis])[0]
                if made is None:
                    made = np.empty((end - row.kept, width, *answer.shape[2:]), answer.dtype)
                made[:, column.kept : right] = answer[
                    row.kept - row.start : end - row.start,
                    column.kept - column.start : right - column.start,
                ]
            on_tile(number * len(tiling.columns) + place)
        assert made is not None  # noqa: S101  (the first column begins at 0)
        yield Rows(row.kept, made)
