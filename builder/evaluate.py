"""Evaluate a model on labelled images: overlap, surface distance, objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetrt.data import IGNORED
from unetrt.keras_models import size_rule
from unetrt.overlap import OverlapCounter
from unetrt.sizes import as_batch

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from unetrt.data import Sample

__all__ = ["averaged", "evaluate", "hd95"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """How good a model is on some images; figures per class leave the background out.

    Attributes:
        images: how many.
        per_class: Dice, pooled over all pixels.
        per_image_foreground: mean over images of the Dice of all foreground.
        iou: intersection over union, pooled.
        precision: share of the predicted pixels that are right, pooled.
        recall: share of the true pixels that are found, pooled.
        hd95: mean over images of the 95th percentile of the Hausdorff distance in pixels, None
            for a class that never was on both sides; only of a thorough evaluation.
        object_f1: of objects matched at an IoU above 0.5; only where objects are numbered.
        per_image: by name, the same figures of each image; only of a thorough evaluation.
    """

    images: int
    per_class: dict[str, float]
    per_image_foreground: float
    iou: dict[str, float]
    precision: dict[str, float]
    recall: dict[str, float]
    hd95: dict[str, float | None] | None = None
    object_f1: float | None = None
    per_image: dict[str, dict[str, Any]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what was measured, Dice under the name "dice"."""
        own: dict[str, Any] = {
            "images": self.images,
            "dice": self.per_class,
            "per_image_foreground": self.per_image_foreground,
            "iou": self.iou,
            "precision": self.precision,
            "recall": self.recall,
        }
        for name in ("hd95", "object_f1", "per_image"):
            if getattr(self, name) is not None:
                own[name] = getattr(self, name)
        return own


_IOU = 0.5
"""Above this an object matches at most one other, so no assignment has to be solved."""


class ObjectCounter:
    """Counts objects image by image: found, missed and made up."""

    def __init__(self) -> None:
        self.matched = self.true = self.found = 0

    def add(self, instances: NDArray[np.integer], foreground: NDArray[np.bool_]) -> None:
        """Count one image: numbered true objects and what is predicted to be any of them.

        A predicted object is what hangs together by its pixels' sides (scipy.ndimage.label).
        """
        predicted, found = ndimage.label(foreground)
        numbers, truth = np.unique(instances, return_inverse=True)
        truth = truth.reshape(instances.shape)
        true = len(numbers) - (0 in numbers)
        shared = _pairs(truth, predicted, len(numbers), found + 1)
        sizes_true, sizes_found = shared.sum(axis=1), shared.sum(axis=0)
        union = sizes_true[:, None] + sizes_found[None, :] - shared
        fits = shared > _IOU * union
        fits[numbers == 0] = False
        self.matched += int(fits[:, 1:].sum())
        self.true += true
        self.found += found

    @property
    def f1(self) -> float:
        """Twice the matched objects over all true and predicted ones; 1 where there are none."""
        total = self.true + self.found
        return 2 * self.matched / total if total else 1.0


def _pairs(a: NDArray[Any], b: NDArray[Any], rows: int, columns: int) -> NDArray[np.int64]:
    counted = np.bincount(
        a.ravel().astype(np.int64) * columns + b.ravel(), minlength=rows * columns
    )
    return counted.reshape(rows, columns)


_PERCENTILE = 95


def hd95(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the 95th percentile of the Hausdorff distance of two masks, in pixels.

    Of the distances from each outline to the other, both ways together, as nnU-Net reports it.
    SciPy measures them: the packages that offer the figure itself (surface-distance 0.1, MedPy
    0.5) lean on names that SciPy is about to drop, or bring SimpleITK along.

    Args:
        a: [height, width], not empty.
        b: likewise.
    """
    outlines = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    to_a, to_b = (ndimage.distance_transform_edt(~outline) for outline in outlines)
    return float(np.percentile(np.concatenate([to_b[outlines[0]], to_a[outlines[1]]]), _PERCENTILE))


class SurfaceCounter:
    """Collects HD95 image by image."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._distances: dict[str, list[float]] = {name: [] for name in classes[1:]}

    def add(self, truth: NDArray[Any], prediction: NDArray[Any]) -> dict[str, float]:
        """Measure one image: two [height, width] arrays of class numbers; return its HD95.

        A class that only one of them has is at no distance, and is left out.
        """
        known = truth != IGNORED
        found = {}
        for number, name in enumerate(self._classes):
            a, b = (truth == number) & known, (prediction == number) & known
            if number and a.any() and b.any():
                found[name] = hd95(a, b)
                self._distances[name].append(found[name])
        return found

    @property
    def hd95(self) -> dict[str, float | None]:
        """Mean over the images where truth and prediction both have the class; else None."""
        return {name: float(np.mean(d)) if d else None for name, d in self._distances.items()}


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


def evaluate(
    model: keras.Model,
    samples: Iterable[Sample],
    classes: tuple[str, ...],
    *,
    tta: bool = False,
    thorough: bool = False,
    on_sample: Callable[[int], None] = lambda _done: None,
) -> Metrics:
    """Judge `model` over whole images, one at a time.

    With `tta`, by its mean answer over flips and turns: eight times the work, so not the accuracy
    that belongs to the latency of one pass. With `thorough`, surfaces, objects and each image by
    itself are measured too.
    """
    sizes = size_rule(model)
    turns = len(set(model.input_shape[1:3])) == 1
    pooled, surfaces, objects = OverlapCounter(classes), SurfaceCounter(classes), ObjectCounter()
    per_image: dict[str, dict[str, Any]] = {}
    count, numbered = 0, False
    for count, sample in enumerate(samples, start=1):
        height, width = sample.label.shape
        x = as_batch(sample.image, sizes)
        answer = (
            averaged(model.predict_on_batch, x, turns=turns) if tta else model.predict_on_batch(x)
        )
        labels: NDArray[np.int64] = answer[0, :height, :width].argmax(axis=-1)
        pooled.add(sample.label, labels)
        if thorough:
            own = OverlapCounter(classes)
            own.add(sample.label, labels)
            per_image[sample.name] = {
                "dice": own.per_class,
                "iou": own.iou,
                "precision": own.precision,
                "recall": own.recall,
                "hd95": surfaces.add(sample.label, labels),
            }
            if sample.instances is not None:
                numbered = True
                objects.add(sample.instances, (labels > 0) & (sample.label != IGNORED))
        on_sample(count)
    return Metrics(
        images=count,
        per_class=pooled.per_class,
        per_image_foreground=pooled.per_image_foreground,
        iou=pooled.iou,
        precision=pooled.precision,
        recall=pooled.recall,
        hd95=surfaces.hd95 if thorough else None,
        object_f1=objects.f1 if numbered else None,
        per_image=per_image if thorough else None,
    )
