"""Evaluate a model on labelled images: overlap, surface distance, objects found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetrt.data import IGNORED
from unetrt.keras_models import size_rule
from unetrt.overlap import OverlapCounter
from unetrt.sizes import SizeRule, as_batch

if TYPE_CHECKING:
    import keras

    from unetrt.data import Sample

__all__ = ["Metrics", "evaluate", "hd95", "mean_over_views", "predicted_classes"]

_IOU = 0.5
"""Above this an object matches at most one other, so no assignment has to be solved."""

_PERCENTILE = 95
_ROWS, _COLUMNS = 1, 2


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

    def to_json(self) -> dict[str, Any]:
        """Return the figures that were measured, JSON-ready, by their names here."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def evaluate(
    model: keras.Model,
    samples: Iterable[Sample],
    classes: tuple[str, ...],
    *,
    tta: bool = False,
    thorough: bool = False,
    on_sample: Callable[[int], None] = lambda _done: None,
) -> Metrics:
    """Evaluate `model` on whole images, one at a time.

    Args:
        model: raw pixels [batch, height, width, channels] in, probabilities of classes out.
        samples: images with their labels.
        classes: their names, the background first.
        tta: evaluate the mean prediction over flips and turns (test-time augmentation): eight
            times the work, so not the accuracy that belongs to the latency of one pass.
        thorough: measure surface distances, objects and each image by itself too.
        on_sample: called with the number of images that are done.

    Raises:
        UnsupportedModel: no rule says which sizes the model takes.

    Example:
        >>> from unetrt.data import load_dataset
        >>> from unetrt.builder import UNetSpec, build_unet
        >>> data = load_dataset("cells")
        >>> model = build_unet(UNetSpec.small((None, None, 1), 2, filters=(2,), bottleneck=2))
        >>> metrics = evaluate(model, data.test, data.classes)
        >>> metrics.images, list(metrics.dice)
        (1, ['foreground'])
    """
    sizes = size_rule(model)
    predict = model.predict_on_batch
    if tta:
        turns = len(set(model.input_shape[1:3])) == 1
        predict = partial(mean_over_views, predict, turns=turns)
    pooled, surfaces, objects = OverlapCounter(classes), SurfaceCounter(classes), ObjectCounter()
    per_image: dict[str, dict[str, Any]] = {}
    count, numbered = 0, False
    for count, sample in enumerate(samples, start=1):
        labels = predicted_classes(predict, sample.image, sizes)
        pooled.add(sample.label, labels)
        if thorough:
            alone = OverlapCounter(classes)
            alone.add(sample.label, labels)
            per_image[sample.name] = {
                "dice": alone.dice,
                "iou": alone.iou,
                "precision": alone.precision,
                "recall": alone.recall,
                "hd95": surfaces.add(sample.label, labels),
            }
            if sample.instances is not None:
                numbered = True
                objects.add(sample.instances, (labels > 0) & (sample.label != IGNORED))
        on_sample(count)
    return Metrics(
        images=count,
        dice=pooled.dice,
        per_image_foreground=pooled.per_image_foreground,
        iou=pooled.iou,
        precision=pooled.precision,
        recall=pooled.recall,
        hd95=surfaces.hd95 if thorough else None,
        object_f1=objects.f1 if numbered else None,
        per_image=per_image if thorough else None,
    )


def predicted_classes(
    predict: Callable[[NDArray[Any]], NDArray[Any]], image: NDArray[Any], sizes: SizeRule
) -> NDArray[np.int64]:
    """Return the likeliest class of each pixel of an image, [height, width].

    Args:
        predict: such as `model.predict_on_batch`.
        image: [height, width, channels], mirrored out to a size that the network takes.
        sizes: sizes that the network takes.
    """
    height, width = image.shape[:2]
    classes: NDArray[np.int64] = predict(as_batch(image, sizes))[0, :height, :width].argmax(axis=-1)
    return classes


def mean_over_views(
    predict: Callable[[NDArray[Any]], NDArray[Any]], x: NDArray[Any], *, turns: bool = True
) -> NDArray[np.float32]:
    """Return the mean prediction over the flips and turns of `x` [batch, height, width, channels].

    Eight views: four quarter turns, each as it is and mirrored; each prediction is turned back
    before it counts. Without `turns`, for networks that take no image on its side, four: half
    turns.
    """
    views = range(0, 4, 1 if turns else 2)
    predictions = []
    for turn in views:
        for mirrored in (False, True):
            view = np.rot90(x, turn, (_ROWS, _COLUMNS))
            view = view[:, :, ::-1] if mirrored else view
            prediction = np.asarray(predict(np.ascontiguousarray(view)))
            prediction = prediction[:, :, ::-1] if mirrored else prediction
            predictions.append(np.rot90(prediction, -turn, (_ROWS, _COLUMNS)))
    return np.asarray(np.mean(predictions, axis=0), np.float32)


def hd95(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the 95th percentile of the Hausdorff distance of two masks, in pixels.

    Of the distances from each outline to the other, both ways together, as nnU-Net reports it.
    SciPy measures them: the packages that offer the figure itself (surface-distance 0.1, MedPy
    0.5) lean on names that SciPy is about to drop, or bring SimpleITK along.

    Args:
        a: bool [height, width], not empty.
        b: another of that shape.

    Example:
        >>> a, b = np.zeros((2, 9, 9), bool)
        >>> a[2, 2:7] = b[5, 2:7] = True
        >>> hd95(a, b)
        3.0
    """
    outlines = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    to_a, to_b = (ndimage.distance_transform_edt(~outline) for outline in outlines)
    return float(np.percentile(np.concatenate([to_b[outlines[0]], to_a[outlines[1]]]), _PERCENTILE))


class SurfaceCounter:
    """Collect HD95 image by image."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._distances: dict[str, list[float]] = {name: [] for name in classes[1:]}

    def add(self, truth: NDArray[Any], prediction: NDArray[Any]) -> dict[str, float]:
        """Measure one image: two [height, width] arrays of class numbers; return its HD95.

        A class that only one of them has has no distance, and is left out.
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
        """Return the mean over the images where truth and prediction have the class; else None."""
        return {name: float(np.mean(d)) if d else None for name, d in self._distances.items()}


class ObjectCounter:
    """Count objects image by image: found, missed and made up."""

    def __init__(self) -> None:
        self.matched = self.true = self.found = 0

    def add(self, instances: NDArray[np.integer], foreground: NDArray[np.bool_]) -> None:
        """Count one image: numbered true objects and what is predicted to be any of them.

        A predicted object is a region connected by its pixels' sides (scipy.ndimage.label).
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
        """Return twice the matched objects over all true and predicted ones; 1 without any."""
        total = self.true + self.found
        return 2 * self.matched / total if total else 1.0


def _pairs(a: NDArray[Any], b: NDArray[Any], rows: int, columns: int) -> NDArray[np.int64]:
    counts = np.bincount(a.ravel().astype(np.int64) * columns + b.ravel(), minlength=rows * columns)
    return counts.reshape(rows, columns)
