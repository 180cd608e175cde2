"""Evaluate a trained model: write its metrics, overlays and the page on the whole training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from unetrt.data import Dataset, Sample, write_image
from unetrt.data.writing import panels
from unetrt.files import write_text
from unetrt.keras_models import size_rule
from unetrt.progress import Progress

from .evaluate import Evaluation, Metrics, evaluate, measure, predicted_classes
from .folds import Fold
from .history import TrainResult
from .run_folder import RunFolder
from .saved_plan import SavedPlan

__all__ = ["evaluated"]

_OVERLAYS = 6
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
    """Return the result with its metrics; write overlays/ and metrics.json.

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
        _write(folder, metrics)
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
        classes = predicted_classes(result.model.predict_on_batch, sample.image, sizes)
        drawn = panels(sample.image, sample.label, classes)
        write_image(folder.path / "overlays" / f"{sample.name}.png", drawn)


def _write(folder: RunFolder, metrics: dict[str, Metrics]) -> None:
    found = {name: measured.to_json() for name, measured in metrics.items()}
    write_text(folder.metrics, json.dumps(found, indent=1) + "\n")


def _some(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """Return at most `most` samples, evenly spread."""
    return samples[:: -(-len(samples) // most)]


def _ticking(name: str, count: int, progress: Progress) -> Callable[[int], None]:
    return lambda done: progress.tick(f"{name} images, {done}/{count}")
