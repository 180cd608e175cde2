"""Hold the quality of a model on some images, file by file, and how sure its mean is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

__all__ = ["Case", "Interval", "Metrics", "mean_interval"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Hold the quality of a model on some images; figures per class leave the background out.

    Attributes:
        images: number of images.
        dice: Dice of each class, pooled over all pixels, 0 to 1.
        per_image_foreground: mean over images of the Dice of all foreground.
        iou: intersection over union of each class, pooled.
        precision: share of the predicted pixels of each class that are right, pooled.
        recall: share of the true pixels of each class that are found, pooled.
        hd95: mean over images of the 95th percentile of the Hausdorff distance in pixels, None
            for a class that truth and prediction never share; only of a thorough evaluation.
        object_f1: F1 of objects matched at an IoU above 0.5; only where objects are numbered.
        per_image: by name, the same figures of each image; only of a thorough evaluation.
        cases: figures of each file, a volume's over all its slices; likewise.
        mean_dice: mean over the cases of their mean Dice, with its interval; likewise.
        class_dice: mean over the cases of the Dice of each class; likewise.
    """

    images: int
    dice: dict[str, float]
    per_image_foreground: float
    iou: dict[str, float]
    precision: dict[str, float]
    recall: dict[str, float]
    hd95: dict[str, float | None] | None = None
    object_f1: float | None = None
    per_image: dict[str, dict[str, Any]] | None = None
    cases: tuple[Case, ...] | None = None
    mean_dice: Interval | None = None
    class_dice: dict[str, Interval] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the figures that were measured, JSON-ready, by their names here."""
        return {name: value for name, value in asdict(self).items() if value is not None}


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
