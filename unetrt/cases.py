"""Hold the figures of each file of a data set, and how sure their mean is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Case", "Interval", "mean_interval"]

_CONFIDENCE = 0.95
_RESAMPLES = 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Hold the figures of one file: of an image, or of a volume whose slices count together.

    Attributes:
        name: of the file, or of the image where there is no file.
        images: number of its images.
        dice: Dice of each class but the background, over the pixels of all its images.
        hd95: mean over its images of the 95th percentile of the Hausdorff distance in pixels;
            None for a class that truth and prediction share in none of them.
        object_f1: F1 of its objects matched at an IoU above 0.5; None where none are numbered.

    Example:
        >>> Case(name="a.nii", images=30, dice={"grey": 0.75, "white": 0.5}, hd95={}).mean_dice
        0.625
    """

    name: str
    images: int
    dice: dict[str, float]
    hd95: dict[str, float | None]
    object_f1: float | None = None

    @property
    def mean_dice(self) -> float:
        """Return the mean over the classes."""
        return float(np.mean(list(self.dice.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Hold a mean over cases and its 95 % confidence interval.

    Attributes:
        mean: over the cases.
        low: lower end of the interval.
        high: upper end of the interval; 0 to 1 where a single case tells nothing of the spread.
        cases: number of them.

    Example:
        >>> str(Interval(mean=0.91, low=0.884, high=0.93, cases=7))
        '0.910 (0.884 to 0.930)'
    """

    mean: float
    low: float
    high: float
    cases: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def mean_interval(shares: Sequence[float]) -> Interval:
    """Return the mean of a share of each case, 0 to 1, and its interval by bootstrap over cases.

    The same cases give the same interval.

    Args:
        shares: one number a case, at least one.

    Example:
        >>> found = mean_interval([0.8, 0.9, 0.95, 0.97])
        >>> round(found.mean, 3), 0.8 < found.low < found.mean < found.high < 0.97
        (0.905, True)
        >>> mean_interval([0.9])
        Interval(mean=0.9, low=0.0, high=1.0, cases=1)
    """
    mean = float(np.mean(shares))
    if len(shares) == 1:
        return Interval(mean=mean, low=0.0, high=1.0, cases=1)
    from scipy import stats  # noqa: PLC0415  (takes half a second)

    found = stats.bootstrap(
        (np.asarray(shares),),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=_CONFIDENCE,
        method="percentile",  # BCa has no interval where all cases are alike
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(mean=mean, low=float(found.low), high=float(found.high), cases=len(shares))
