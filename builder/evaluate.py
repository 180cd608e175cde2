"""Evaluate a model on labelled images: overlap, surface distance, objects found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from unetrt.data import IGNORED
from unetrt.keras_models import size_rule
from unetrt.metrics import Case, Metrics, mean_interval
from unetrt.overlap import OverlapCounter
from unetrt.sizes import SizeRule, as_batch
from unetrt.views import mean_over_views

if TYPE_CHECKING:
    import keras

    from unetrt.data import Sample

__all__ = [
    "Evaluation",
    "evaluate",
    "hd95",
    "measure",
    "predicted_classes",
]

_IOU = 0.5
"""Above this an object matches at most one other, so no assignment has to be solved."""

_PIXELS_AT_ONCE = 1 << 17
"""Pixels of images of one size that are predicted together."""

_LARGE_PIXELS = 1 << 22
"""Pixels of an image above which it is predicted in parts: a network of 16 filters at full size
works in 200 bytes and more for each."""

_PART, _AROUND = 1024, 256
"""Side of a part, and the pixels around it that are seen but not labelled."""

_PERCENTILE = 95


def evaluate(
    model: keras.Model,
    samples: Iterable[Sample],
    classes: tuple[str, ...],
    *,
    tta: bool = False,
    thorough: bool = False,
    on_sample: Callable[[int], None] = lambda _done: None,
) -> Metrics:
    """Evaluate `model` on whole images; small ones of one size are predicted together.

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
    found = measure(model, samples, classes, tta=tta, thorough=thorough, on_sample=on_sample)
    return found.metrics


def measure(
    model: keras.Model,
    samples: Iterable[Sample],
    classes: tuple[str, ...],
    *,
    tta: bool = False,
    thorough: bool = False,
    on_sample: Callable[[int], None] = lambda _done: None,
) -> Evaluation:
    """Evaluate as `evaluate` does; what is counted can be joined with other models' images."""
    sizes = size_rule(model)
    predict = model.predict_on_batch
    if tta:
        turns = len(set(model.input_shape[1:3])) == 1
        predict = partial(mean_over_views, predict, turns=turns)
    evaluation = Evaluation(classes, thorough=thorough)
    predicted = _predicted(predict, samples, sizes, in_parts=_takes_any(model))
    for count, (sample, labels) in enumerate(predicted, start=1):
        evaluation.add(sample, labels)
        on_sample(count)
    return evaluation


class Evaluation:
    """Compare predictions with truths, image by image.

    Args:
        classes: their names, the background first.
        thorough: measure surface distances, objects, and each image and file by itself too.
    """

    def __init__(self, classes: tuple[str, ...], *, thorough: bool) -> None:
        self._classes = classes
        self._all = _Counted(classes)
        self._files: dict[str, _Counted] | None = {} if thorough else None
        self._per_image: dict[str, dict[str, Any]] = {}

    def add(self, sample: Sample, labels: NDArray[np.integer]) -> None:
        """Count an image of whose pixels `labels` [height, width] are the predicted classes."""
        one = _Counted(self._classes)
        one.add(sample, labels, thorough=self._files is not None)
        self._all.join(one)
        if self._files is None:
            return
        file = self._files.setdefault(sample.group or sample.name, _Counted(self._classes))
        file.join(one)
        found = one.overlap
        self._per_image[sample.name] = {
            "dice": found.dice,
            "iou": found.iou,
            "precision": found.precision,
            "recall": found.recall,
            "hd95": {name: value for name, value in one.surfaces.hd95.items() if value is not None},
        }

    def join(self, other: Evaluation) -> None:
        """Count the images of another evaluation of the same classes too."""
        self._all.join(other._all)
        self._per_image |= other._per_image
        if self._files is not None and other._files is not None:
            for name, counted in other._files.items():
                self._files.setdefault(name, _Counted(self._classes)).join(counted)

    @property
    def metrics(self) -> Metrics:
        """Return the figures of all images so far."""
        found = self._all
        pooled = Metrics(
            images=found.images,
            dice=found.overlap.dice,
            per_image_foreground=found.overlap.per_image_foreground,
            iou=found.overlap.iou,
            precision=found.overlap.precision,
            recall=found.overlap.recall,
        )
        if not self._files:
            return pooled
        cases = tuple(counted.as_case(name) for name, counted in self._files.items())
        return replace(
            pooled,
            hd95=found.surfaces.hd95,
            object_f1=found.object_f1,
            per_image=self._per_image,
            cases=cases,
            mean_dice=mean_interval([case.mean_dice for case in cases]),
            class_dice={
                name: mean_interval([case.dice[name] for case in cases]) for name in pooled.dice
            },
        )


class _Counted:
    """Count some images together."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.images = 0
        self.overlap = OverlapCounter(classes)
        self.surfaces = SurfaceCounter(classes)
        self._objects: ObjectCounter | None = None

    def add(self, sample: Sample, labels: NDArray[np.integer], *, thorough: bool) -> None:
        self.images += 1
        self.overlap.add(sample.label, labels)
        if not thorough:
            return
        self.surfaces.add(sample.label, labels)
        if sample.instances is not None:
            self._objects = ObjectCounter()
            self._objects.add(sample.instances, (labels > 0) & (sample.label != IGNORED))

    def join(self, other: _Counted) -> None:
        self.images += other.images
        self.overlap.join(other.overlap)
        self.surfaces.join(other.surfaces)
        if other._objects is not None:
            self._objects = self._objects or ObjectCounter()
            self._objects.join(other._objects)

    @property
    def object_f1(self) -> float | None:
        return None if self._objects is None else self._objects.f1

    def as_case(self, name: str) -> Case:
        return Case(
            name=name,
            images=self.images,
            dice=self.overlap.dice,
            hd95=self.surfaces.hd95,
            object_f1=self.object_f1,
        )


def predicted_classes(
    model: keras.Model, image: NDArray[Any], sizes: SizeRule
) -> NDArray[np.int64]:
    """Return the likeliest class of each pixel of an image, [height, width].

    Args:
        model: probabilities of classes out.
        image: [height, width, channels], mirrored out to a size that the network takes.
        sizes: sizes that the network takes.
    """
    if _is_large(image) and _takes_any(model):
        return _in_parts(model.predict_on_batch, image, sizes)
    return _whole(model.predict_on_batch, image, sizes)


def _is_large(image: NDArray[Any]) -> bool:
    return bool(image.shape[0] * image.shape[1] > _LARGE_PIXELS)


def _takes_any(model: keras.Model) -> bool:
    return bool(tuple(model.input_shape[1:3]) == (None, None))


def _whole(
    predict: Callable[[NDArray[Any]], NDArray[Any]], image: NDArray[Any], sizes: SizeRule
) -> NDArray[np.int64]:
    height, width = image.shape[:2]
    classes: NDArray[np.int64] = predict(as_batch(image, sizes))[0, :height, :width].argmax(axis=-1)
    return classes


def _in_parts(
    predict: Callable[[NDArray[Any]], NDArray[Any]], image: NDArray[Any], sizes: SizeRule
) -> NDArray[np.int64]:
    """Predict parts with their surroundings, so that memory is that of a part."""
    height, width = image.shape[:2]
    classes = np.empty((height, width), np.int64)
    for top in range(0, height, _PART):
        for left in range(0, width, _PART):
            above, before = max(0, top - _AROUND), max(0, left - _AROUND)
            seen = image[above : top + _PART + _AROUND, before : left + _PART + _AROUND]
            part = classes[top : top + _PART, left : left + _PART]
            found = _whole(predict, seen, sizes)[top - above :, left - before :]
            part[...] = found[: part.shape[0], : part.shape[1]]
    return classes


def _predicted(
    predict: Callable[[NDArray[Any]], NDArray[Any]],
    samples: Iterable[Sample],
    sizes: SizeRule,
    *,
    in_parts: bool,
) -> Iterator[tuple[Sample, NDArray[np.int64]]]:
    """Yield each sample with the likeliest class of its pixels; in order, those of a size."""
    waiting: dict[tuple[int, ...], list[tuple[Sample, NDArray[Any]]]] = {}
    for sample in samples:
        if in_parts and _is_large(sample.image):
            yield sample, _in_parts(predict, sample.image, sizes)
            continue
        x = as_batch(sample.image, sizes)
        alike = waiting.setdefault(x.shape, [])
        alike.append((sample, x))
        if len(alike) * x.shape[1] * x.shape[2] >= _PIXELS_AT_ONCE:
            yield from _together(predict, waiting.pop(x.shape))
    for alike in waiting.values():
        yield from _together(predict, alike)


def _together(
    predict: Callable[[NDArray[Any]], NDArray[Any]], alike: list[tuple[Sample, NDArray[Any]]]
) -> Iterator[tuple[Sample, NDArray[np.int64]]]:
    predictions = predict(np.concatenate([x for _, x in alike]))
    for (sample, _), prediction in zip(alike, predictions, strict=True):
        height, width = sample.label.shape
        yield sample, prediction[:height, :width].argmax(axis=-1)


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

    def add(self, truth: NDArray[Any], prediction: NDArray[Any]) -> None:
        """Measure one image: two [height, width] arrays of class numbers.

        A class that only one of them has has no distance, and is left out.
        """
        known = truth != IGNORED
        for number, name in enumerate(self._classes):
            a, b = (truth == number) & known, (prediction == number) & known
            if number and a.any() and b.any():
                self._distances[name].append(hd95(a, b))

    def join(self, other: SurfaceCounter) -> None:
        """Count the images of another counter of the same classes too."""
        for name, distances in other._distances.items():
            self._distances[name] += distances

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

    def join(self, other: ObjectCounter) -> None:
        """Count the objects of another counter too."""
        self.matched += other.matched
        self.true += other.true
        self.found += other.found

    @property
    def f1(self) -> float:
        """Return twice the matched objects over all true and predicted ones; 1 without any."""
        total = self.true + self.found
        return 2 * self.matched / total if total else 1.0


def _pairs(a: NDArray[Any], b: NDArray[Any], rows: int, columns: int) -> NDArray[np.int64]:
    counts = np.bincount(a.ravel().astype(np.int64) * columns + b.ravel(), minlength=rows * columns)
    return counts.reshape(rows, columns)
