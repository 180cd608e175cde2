"""How far a training is, and the learning rate that belongs there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ..train_spec import TrainSpec

__all__ = ["Schedule", "learning_rate"]

_RISE = 0.05
"""Share of the training over which the learning rate rises; batch statistics settle meanwhile."""


def learning_rate(peak: float, done: float) -> float:
    """Return the rate after the share `done` of a training: a short rise, then half a cosine.

    Not one of Keras' schedules: those count steps, and a training of some minutes does not know
    how many it will have.
    """
    rise = min(1.0, (done + 0.01) / _RISE)
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return peak * rise * fall


class Schedule:
    """Counts a training by its steps, or by the clock where the spec gives minutes.

    Args:
        spec: how long, and the peak of the learning rate.
        steps_per_epoch: batches an epoch.
        spent_s: seconds that an interrupted run has already taken.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        spec: TrainSpec,
        steps_per_epoch: int,
        *,
        spent_s: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec = spec
        self._steps = None if spec.epochs is None else spec.epochs * steps_per_epoch
        self._now = now
        self._began = now() - spent_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since training began, without those between a kill and its resumption."""
        return self._now() - self._began

    def done(self, step: int) -> float:
        """Return the share of the training that is done after so many steps."""
        if self._steps is not None:
            return step / self._steps
        return self.elapsed_s / (60 * self._spec.minutes)

    def learning_rate(self, step: int) -> float:
        """Return the rate for the step after so many."""
        return learning_rate(self._spec.learning_rate, self.done(step))

    def remaining_s(self, step: int) -> float:
        """Return the seconds left: by the clock, or by the pace so far."""
        if self._steps is None:
            return max(0.0, 60 * self._spec.minutes - self.elapsed_s)
        return self.elapsed_s * (self._steps / step - 1) if step else math.inf
