"""An image through tiles that overlap and are averaged, a row of tiles at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .blending import gaussian_weights
from .large_image import Rows
from .mirrored import ImageSource, mirrored_window
from .tiling import Tiling

__all__ = ["blended_rows"]


def blended_rows(
    image: ImageSource,
    tiling: Tiling,
    margin: int,
    answer_of: Callable[[NDArray[Any]], NDArray[Any]],
    *,
    first: int = 0,
    on_tile: Callable[[int], None] = lambda _done: None,
) -> Iterator[Rows]:
    """Yield weighted means of the tiles' answers, from above to below.

    No more is held than the rows that one row of tiles reaches. Arguments as of `tiled_rows`, the
    tiling by `choose_blended`; `answer_of` gives [1, answer height, answer width, classes].
    """
    height, width = image.shape[:2]
    tall, wide = tiling.tile[0] - 2 * margin, tiling.tile[1] - 2 * margin
    whole = tiling.columns[-1].end
    weights = gaussian_weights(tall, wide)[:, :, np.newaxis]
    total: NDArray[np.float32] | None = None
    counted = np.zeros((tall, whole, 1), np.float32)
    for number, row in enumerate(tiling.rows):
        # Rows of tiles that reach into the first wanted one count, though their own are not asked.
        if row.start + tall <= tiling.rows[first].start:
            continue
        if row.kept >= height:
            break  # all of it is mirrored
        for place, column in enumerate(tiling.columns, start=1):
            x = mirrored_window(image, row.start - margin, column.start - margin, *tiling.tile)
            answer = answer_of(x[np.newaxis])[0]
            if total is None:
                total = np.zeros((tall, whole, answer.shape[2]), np.float32)
            here = slice(column.start, column.start + wide)
            total[:, here] += answer * weights
            counted[:, here] += weights
            on_tile(number * len(tiling.columns) + place)
        assert total is not None  # noqa: S101  (there is a column)
        done = row.end - row.start
        if number >= first:
            end = min(done, height - row.start)
            yield Rows(row.kept, total[:end, :width] / counted[:end, :width])
        for sums in (total, counted):  # the rows that are left become the upper ones of the next
            sums[: tall - done] = sums[done:].copy()
            sums[tall - done :] = 0
