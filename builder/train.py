"""Train a network on a data set into a folder: the model, its learning curve, its metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unetrt import vendor
from unetrt.data import Dataset, Sample, load_dataset, write_image
from unetrt.data.writing import panels
from unetrt.errors import BadInput, DataError
from unetrt.files import output_folder, sha256_of, write_text
from unetrt.progress import Progress

from .history import Epoch, TrainResult, read_history
from .plan import TrainingPlan, plan
from .saved_plan import SavedPlan, read_plan, write_plan
from .train_spec import TrainSpec

if TYPE_CHECKING:
    from .evaluate import Metrics
    from .run_folder import RunFolder

__all__ = ["resume", "train"]

_OVERLAYS = 6
_TRAIN_IMAGES = 50
"""Training images that are evaluated: enough to see overfitting by."""


def train(
    data: Dataset | str | Path,
    out: str | Path,
    spec: TrainingPlan | TrainSpec | None = None,
    *,
    restart: bool = False,
    tta: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a U-Net on a data set and evaluate its best epoch.

    The folder gets model.keras and its sidecar, history.csv, metrics.json, overlays/ and logs/ for
    TensorBoard. On a CPU the same seed and epochs give the same weights to the last bit. What is
    interrupted, `resume` continues.

    Args:
        data: a data set, "brain", or a folder of images/ and labels/.
        out: folder for all of it.
        spec: network and training, as `plan` chooses them; with a `TrainSpec`, only the network is
            chosen; with None, both.
        restart: begin again over an interrupted training.
        tta: evaluate flipped and turned test images too, as "test_tta".
        progress: is told of every epoch.

    Raises:
        MissingDependency: TensorFlow is not installed.
        DataError: the data cannot be used, or the loss becomes NaN.
        BadInput: an unfinished training lies in `out`.
        OutputError: `out` cannot be written.

    >>> result = train("cells", "run", plan("cells", epochs=1, crop=16, batch=2))
    >>> result.file.path.name, result.best.epoch, sorted(result.metrics)
    ('model.keras', 1, ['test', 'train', 'val'])
    """
    progress = progress or Progress()
    vendor.need("tensorflow", extra="train", purpose="Training")
    dataset = load_dataset(data)
    run = output_folder(Path(out))
    chosen = _planned(dataset, spec)
    _load_tensorflow(progress)
    from .checkpoints import data_identity  # noqa: PLC0415  (TensorFlow takes seconds)
    from .run_folder import RunFolder  # noqa: PLC0415

    folder = RunFolder(run)
    folder.begin(restart=restart)
    identity = data_identity(dataset, on_step=progress.tick)
    saved = SavedPlan(data=dataset.source, identity=identity, plan=chosen, tta=tta)
    write_plan(folder.plan, saved)
    return _trained(folder, saved, dataset, progress, resume=False)


def resume(
    run: str | Path,
    *,
    data: Dataset | str | Path | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Continue a training that was interrupted, from its last epoch.

    With `epochs` it ends on a CPU as it would have without the interruption, to the last bit.

    Args:
        run: folder that the training left.
        data: the data set where it lies now; None where it did at the beginning.
        progress: is told of every epoch.

    Raises:
        MissingDependency: TensorFlow is not installed.
        ArtifactError: there is nothing to resume, or a file of it is damaged.
        DataError: the data are not where they were, or cannot be used.
        BadInput: the data have changed, or were made in memory and are not given.

    Example (a training that was finished):
        >>> _ = train("cells", "run", plan("cells", epochs=1, crop=16, batch=2))
        >>> resume("run")
        Traceback (most recent call last):
            ...
        unetrt.errors.ArtifactError: Cannot resume run: got a finished training, expected one that
        was interrupted; train to begin one.
    """
    progress = progress or Progress()
    saved = read_plan(Path(run) / "plan.json")
    vendor.need("tensorflow", extra="train", purpose="Training")
    _load_tensorflow(progress)
    from .checkpoints import data_changes, data_identity  # noqa: PLC0415
    from .run_folder import RunFolder  # noqa: PLC0415

    folder = RunFolder(Path(run))
    folder.check_unfinished()
    dataset = load_dataset(_place_of(folder, saved) if data is None else data)
    folder.refuse(data_changes(saved.identity, data_identity(dataset, on_step=progress.tick)))
    return _trained(folder, saved, dataset, progress, resume=True)


def _place_of(folder: RunFolder, saved: SavedPlan) -> str:
    """Return where the data of a training lie."""
    if saved.data is None:
        raise BadInput(
            f"Cannot resume {folder.path} by itself",
            got="a training on data that were made in memory",
            hint="give them again as `data`",
        )
    if saved.data != "brain" and not Path(saved.data).is_dir():
        raise DataError(
            f"The data of {folder.path} are not where they were",
            got=f"no folder {saved.data}",
            hint="say as `data` where they lie now",
        )
    return saved.data


def _planned(data: Dataset, spec: TrainingPlan | TrainSpec | None) -> TrainingPlan:
    if isinstance(spec, TrainingPlan):
        return spec
    given = {} if spec is None else {f.name: getattr(spec, f.name) for f in fields(spec)}
    return plan(data, **given)


def _load_tensorflow(progress: Progress) -> None:
    with progress.step("load", "Loading TensorFlow"):
        vendor.keras()


def _trained(
    folder: RunFolder, saved: SavedPlan, data: Dataset, progress: Progress, *, resume: bool
) -> TrainResult:
    """Train and evaluate, from wherever the folder stands."""
    taken = data.normalized(saved.plan.normalization)
    result = _fitted(folder, saved.plan, taken, progress, resume=resume)
    metrics = _evaluated(folder, result, taken, progress, tta=saved.tta)
    return replace(result, metrics=metrics)


def _fitted(
    folder: RunFolder, chosen: TrainingPlan, data: Dataset, progress: Progress, *, resume: bool
) -> TrainResult:
    """Train, keeping the folder up to date after every epoch."""
    from unetrt.keras_models import load_model  # noqa: PLC0415

    from .fit import fit  # noqa: PLC0415
    from .unet import build_unet  # noqa: PLC0415

    began_with = sha256_of(folder.plan)
    if resume and folder.ended(began_with):
        progress.say("The training was finished; what is left is to evaluate")
        model, file = load_model(folder.model)
        return TrainResult(model, chosen.training, read_history(folder.history), file)
    vendor.keras().utils.set_random_seed(chosen.training.seed)
    start = chosen.start
    model = build_unet(chosen.unet) if start is None else start.load()
    network = {"network": asdict(chosen.unet)} if start is None else {"start": asdict(start)}

    def say(epoch: Epoch, best: bool) -> None:  # noqa: FBT001  (as of `fit`)
        progress.say(
            f"epoch {epoch.epoch:3d}  loss {epoch.loss:.3f}  validation Dice {epoch.val_dice:.4f}"
            f"{' *' if best else '  '}  elapsed {epoch.elapsed_s:.0f} s"
            f"  remaining {epoch.remaining_s:.0f} s"
        )

    with progress.step("train", f"Training on {len(data.train)} images of {data.name}"):
        result = fit(
            model,
            data,
            chosen.training,
            run=folder.path,
            resume=resume and folder.checkpoint.exists(),
            made_with={**network, "plan": began_with},
            normalization=chosen.normalization,
            on_epoch=say,
            on_step=progress.tick,
        )
    model, file = load_model(folder.model)
    return replace(result, model=model, file=file)


def _evaluated(
    folder: RunFolder, result: TrainResult, data: Dataset, progress: Progress, *, tta: bool
) -> dict[str, Metrics]:
    """Write metrics.json and overlays/ of the best model; of the training images at most 50."""
    from unetrt.keras_models import size_rule  # noqa: PLC0415

    from .evaluate import evaluate, predicted_classes  # noqa: PLC0415

    model = result.model
    splits = {"train": _some(data.train, _TRAIN_IMAGES), "val": data.val, "test": data.test}
    if tta:
        splits["test_tta"] = data.test
    with progress.step("evaluate", "Evaluating the best epoch"):
        metrics = {
            name: evaluate(
                model,
                samples,
                data.classes,
                tta=name.endswith("_tta"),
                thorough=True,
                on_sample=_ticking(name, len(samples), progress),
            )
            for name, samples in splits.items()
        }
        sizes = size_rule(model)
        for sample in _some(data.test, _OVERLAYS):
            classes = predicted_classes(model.predict_on_batch, sample.image, sizes)
            drawn = panels(sample.image, sample.label, classes)
            write_image(folder.path / "overlays" / f"{sample.name}.png", drawn)
        found = {name: measured.to_json() for name, measured in metrics.items()}
        write_text(folder.metrics, json.dumps(found, indent=1) + "\n")
    return metrics


def _some(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """Return at most `most` samples, evenly spread."""
    return samples[:: -(-len(samples) // most)]


def _ticking(name: str, count: int, progress: Progress) -> Callable[[int], None]:
    return lambda done: progress.tick(f"{name} images, {done}/{count}")
