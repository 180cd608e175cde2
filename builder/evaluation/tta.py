"""Test-time augmentation: the mean answer over flips and quarter turns of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["averaged"]

_ROWS, _COLUMNS = 1, 2


def averaged(
    predict: Callable[[NDArray[Any]], NDArray[Any]], x: NDArray[Any], *, turns: bool = True
) -> NDArray[np.float32]:
    """Return the mean of what `predict` says of `x` [batch, height, width, channels].

    Eight views: four quarter turns, each as it is and mirrored; each answer is turned back before
    it counts. Without `turns`, for networks that take no image on its side, four: half turns.
    """
    views = range(0, 4, 1 if turns else 2)
    answers = []
    for turn in views:
        for mirrored in (False, True):
            view = np.rot90(x, turn, (_ROWS, _COLUMNS))
            view = view[:, :, ::-1] if mirrored else view
            answer = np.asarray(predict(np.ascontiguousarray(view)))
            answer = answer[:, :, ::-1] if mirrored else answer
            answers.append(np.rot90(answer, -turn, (_ROWS, _COLUMNS)))
    return np.asarray(np.mean(answers, axis=0), np.float32)
