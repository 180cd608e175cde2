"""Evaluate a trained model: write its metrics, overlays and the page on the whole training."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unetrt.data import Dataset, Sample, write_image
from unetrt.data.dataset import files_of
from unetrt.data.writing import panels
from unetrt.errors import MissingDependency
from unetrt.files import write_text
from unetrt.keras_models import size_rule
from unetrt.metrics import Metrics
from unetrt.progress import Progress
from unetrt.report import Picture, render_training

from .evaluate import Evaluation, evaluate, measure, predicted_classes
from .folds import Fold
from .history import TrainResult
from .plan import Choice
from .run_folder import RunFolder
from .saved_plan import SavedPlan

__all__ = ["evaluated"]

_OVERLAYS = 6
_WORST = 5
_WIDTH = 900
"""Of a picture of a page, in pixels."""
_TRAIN_IMAGES = 50
"""Training images that are evaluated: enough to see overfitting by."""


def evaluated(
    folder: RunFolder,
    saved: SavedPlan,
    result: TrainResult,
    data: Dataset,
    progress: Progress,
    *,
    folds: Sequence[Fold] = (),
) -> TrainResult:
    """Return the result with its metrics; write overlays/, report.html and metrics.json.

    Args:
        folder: of the training.
        saved: what it began with.
        result: of the training, or the ensemble with the results of its folds.
        data: as the network takes it.
        progress: is told of every image.
        folds: of the ensemble.
    """
    with progress.step("evaluate", "Evaluating the best epoch"):
        metrics = _cross_validated(folder, result, folds, progress)
        for name, samples in _parts(data, single=not folds, tta=saved.tta).items():
            metrics[name] = evaluate(
                result.model,
                samples,
                data.classes,
                tta=name.endswith("_tta"),
                thorough=True,
                on_sample=_ticking(name, len(samples), progress),
            )
        _draw(folder, result, data)
        _report(folder, saved, replace(result, metrics=metrics), data, progress)
        _write(folder, metrics)  # the last: until then the training is unfinished
    return replace(result, metrics=metrics)


def _parts(data: Dataset, *, single: bool, tta: bool) -> dict[str, Sequence[Sample]]:
    """Return what the model itself is evaluated on; an ensemble has seen all but the test files."""
    parts: dict[str, Sequence[Sample]] = {}
    if single:
        parts = {"train": _some(data.train, _TRAIN_IMAGES), "val": data.val}
    parts["test"] = data.test
    return parts | {"test_tta": data.test} if tta else parts


def _cross_validated(
    folder: RunFolder, result: TrainResult, folds: Sequence[Fold], progress: Progress
) -> dict[str, Metrics]:
    """Evaluate each fold on the files that it did not train on, then all of these together."""
    metrics: dict[str, Metrics] = {}
    if not folds:
        return metrics
    pooled = Evaluation(folds[0].data.classes, thorough=True)
    for fold, own in zip(folds, result.folds, strict=True):
        samples = fold.data.val
        found = measure(
            own.model,
            samples,
            fold.data.classes,
            thorough=True,
            on_sample=_ticking(fold.name, len(samples), progress),
        )
        pooled.join(found)
        metrics[fold.name] = found.metrics
        _write(folder.fold(fold.name), {"val": found.metrics})
    return metrics | {"cross_validation": pooled.metrics}


def _draw(folder: RunFolder, result: TrainResult, data: Dataset) -> None:
    sizes = size_rule(result.model)
    for sample in _some(data.test, _OVERLAYS):
        classes = predicted_classes(result.model, sample.image, sizes)
        drawn = panels(sample.image, sample.label, classes)
        write_image(folder.path / "overlays" / f"{sample.name}.png", drawn)


def _report(
    folder: RunFolder, saved: SavedPlan, result: TrainResult, data: Dataset, progress: Progress
) -> None:
    """Write report.html, where the packages for it are installed."""
    trainings = {f"Fold {number}": one for number, one in enumerate(result.folds, 1)}
    try:
        page = render_training(
            data=data.name,
            classes=data.classes,
            found=saved.plan.found.rows(),
            choices=_choices(saved),
            curves={title: one.history for title, one in (trainings or {"": result}).items()},
            metrics=result.metrics,
            judged="test",
            pictures=list(_worst(result, data)),
        )
    except MissingDependency as error:
        progress.say(f"There is no {folder.report.name}: {error}")
        return
    write_text(folder.report, page)


def _choices(saved: SavedPlan) -> Iterator[Choice]:
    """Yield what was chosen and what was asked for."""
    yield from saved.plan.reasons
    training = saved.plan.training
    by_clock = training.epochs is None
    length = f"{training.minutes:g} minutes" if by_clock else f"{training.epochs} epochs"
    yield Choice("length", length, "the learning rate falls to zero at its end")
    if training.freeze:
        yield Choice("frozen", ", ".join(training.freeze), "as asked")
    if saved.folds is not None:
        each = "they share the minutes" if by_clock else "each of all the epochs"
        yield Choice("folds", str(saved.folds), f"as asked; {each}")


def _worst(result: TrainResult, data: Dataset) -> Iterator[Picture]:
    """Draw the worst image of each of the worst test files."""
    found = result.metrics["test"]
    sizes = size_rule(result.model)
    files = files_of(data.test)
    dice = {name: one["dice"] for name, one in (found.per_image or {}).items()}
    for case in sorted(found.cases or (), key=lambda case: case.mean_dice)[:_WORST]:
        sample = min(files[case.name], key=lambda one: sum(dice[one.name].values()))
        labels = predicted_classes(result.model, sample.image, sizes)
        drawn = panels(sample.image, sample.label, labels)
        yield Picture(case=case, image=sample.name, png=_png(drawn))


def _png(drawn: NDArray[np.uint8]) -> bytes:
    """Return a picture as a PNG file, of a size for a page."""
    height, width = drawn.shape[:2]
    picture = Image.fromarray(drawn)
    by = _WIDTH / width
    enlarged = by >= 2  # noqa: PLR2004  (a whole number of times, so that pixels stay alike)
    size = (width * int(by), height * int(by)) if enlarged else (_WIDTH, round(height * by))
    if enlarged or by < 1:
        kind = Image.Resampling.NEAREST if enlarged else Image.Resampling.BOX
        picture = picture.resize(size, kind)
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _write(folder: RunFolder, metrics: dict[str, Metrics]) -> None:
    found = {name: measured.to_json() for name, measured in metrics.items()}
    write_text(folder.metrics, json.dumps(found, indent=1) + "\n")


def _some(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """Return at most `most` samples, evenly spread."""
    return samples[:: -(-len(samples) // most)]


def _ticking(name: str, count: int, progress: Progress) -> Callable[[int], None]:
    return lambda done: progress.tick(f"{name} images, {done}/{count}")
