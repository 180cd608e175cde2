"""Average predictions over an image's mirrors and turns: test-time augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["mean_over_views", "view_count"]

_ROWS, _COLUMNS = 1, 2


def view_count(*, turns: bool) -> int:
    """Return the number of views: eight, or four without quarter turns."""
    return 8 if turns else 4


def mean_over_views(
    predict: Callable[[NDArray[Any]], NDArray[Any]], x: NDArray[Any], *, turns: bool = True
) -> NDArray[np.float32]:
    """Return the mean prediction over the mirrors and turns of a batch of images.

    Each prediction is turned back before it counts.

    Args:
        predict: from pixels to probabilities [batch, height, width, classes].
        x: [batch, height, width, channels].
        turns: whether quarter turns count too: eight views. Without them, for networks that take
            no image on its side, four: as it is, turned by half, and both mirrored.

    Example:
        >>> x = np.arange(6.0).reshape(1, 2, 3, 1)
        >>> bool((mean_over_views(np.asarray, x) == x).all())
        True
    """
    total: NDArray[np.float32] | None = None
    for turn in range(0, 4, 1 if turns else 2):
        for mirrored in (False, True):
            view = np.rot90(x, turn, (_ROWS, _COLUMNS))
            view = view[:, :, ::-1] if mirrored else view
            prediction = np.asarray(predict(np.ascontiguousarray(view)), np.float32)
            prediction = prediction[:, :, ::-1] if mirrored else prediction
            back = np.rot90(prediction, -turn, (_ROWS, _COLUMNS))
            total = back.copy() if total is None else np.add(total, back, out=total)
    return np.asarray(total, np.float32) / np.float32(view_count(turns=turns))
