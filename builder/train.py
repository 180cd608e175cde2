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
from unetrt.errors import BadInput
from unetrt.files import output_folder, write_text
from unetrt.progress import Progress

from .history import Epoch, TrainResult, read_history
from .plan import TrainingPlan, plan
from .train_spec import TrainSpec

if TYPE_CHECKING:
    from .evaluate import Metrics

__all__ = ["train"]

_OVERLAYS = 6
_TRAIN_IMAGES = 50
"""Training images that are evaluated: enough to see overfitting by."""


def train(
    data: Dataset | str | Path,
    out: str | Path,
    spec: TrainingPlan | TrainSpec | None = None,
    *,
    resume: bool = False,
    restart: bool = False,
    tta: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a U-Net on a data set and evaluate its best epoch.

    The folder gets model.keras and its sidecar, history.csv, metrics.json, overlays/ and logs/ for
    TensorBoard. On a CPU the same seed and epochs give the same weights to the last bit.

    Args:
        data: a data set, "brain", or a folder of images/ and labels/.
        out: folder for all of it.
        spec: network and training, as `plan` chooses them; with a `TrainSpec`, only the network is
            chosen; with None, both.
        resume: continue the interrupted training in `out`; it ends as it would have without.
        restart: begin again over an interrupted one.
        tta: evaluate flipped and turned test images too, as "test_tta".
        progress: is told of every epoch.

    Raises:
        MissingDependency: TensorFlow is not installed.
        DataError: the data cannot be used, or the loss becomes NaN.
        BadInput: an unfinished training lies in `out`, or the one to resume was of another spec,
            network or data.
        ArtifactError: there is nothing to resume, or its checkpoint is damaged.
        OutputError: `out` cannot be written.

    >>> result = train("cells", "run", plan("cells", epochs=1, crop=16, batch=2))
    >>> result.file.path.name, result.best.epoch, sorted(result.metrics)
    ('model.keras', 1, ['test', 'train', 'val'])
    """
    progress = progress or Progress()
    if resume and restart:
        raise BadInput("Cannot both resume and restart a training", expected="one of them")
    vendor.need("tensorflow", extra="train", purpose="Training")
    dataset = load_dataset(data)
    run = output_folder(Path(out))
    chosen = _planned(dataset, spec)
    with progress.step("load", "Loading TensorFlow"):
        vendor.keras()
    taken = dataset.normalized(chosen.normalization)
    result = _fitted(run, taken, chosen, progress, resume=resume, restart=restart)
    return replace(result, metrics=_evaluated(run, result, taken, progress, tta=tta))


def _planned(data: Dataset, spec: TrainingPlan | TrainSpec | None) -> TrainingPlan:
    if isinstance(spec, TrainingPlan):
        return spec
    given = {} if spec is None else {f.name: getattr(spec, f.name) for f in fields(spec)}
    return plan(data, **given)


def _fitted(
    run: Path,
    data: Dataset,
    chosen: TrainingPlan,
    progress: Progress,
    *,
    resume: bool,
    restart: bool,
) -> TrainResult:
    """Train, keeping the folder up to date after every epoch."""
    from unetrt.keras_models import load_model  # noqa: PLC0415  (TensorFlow takes seconds)

    from .fit import fit  # noqa: PLC0415
    from .run_folder import RunFolder  # noqa: PLC0415
    from .unet import build_unet  # noqa: PLC0415

    folder = RunFolder(run)
    if resume and folder.finished and not folder.metrics.exists():
        progress.say("The training was finished; what is left is to evaluate")
        model, file = load_model(folder.model)
        folder.check_finished(file, chosen.training, chosen.unet)
        return TrainResult(model, chosen.training, read_history(folder.history), file)
    vendor.keras().utils.set_random_seed(chosen.training.seed)
    model = build_unet(chosen.unet)

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
            run=run,
            resume=resume,
            restart=restart,
            made_with={"network": asdict(chosen.unet)},
            normalization=chosen.normalization,
            on_epoch=say,
            on_step=progress.tick,
        )
    model, file = load_model(folder.model)
    return replace(result, model=model, file=file)


def _evaluated(
    run: Path, result: TrainResult, data: Dataset, progress: Progress, *, tta: bool
) -> dict[str, Metrics]:
    """Write metrics.json and overlays/ of the best model; of the training images at most 50."""
    from unetrt.keras_models import size_rule  # noqa: PLC0415

    from .evaluate import evaluate, predicted_classes  # noqa: PLC0415
    from .run_folder import RunFolder  # noqa: PLC0415

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
            write_image(run / "overlays" / f"{sample.name}.png", drawn)
        found = {name: measured.to_json() for name, measured in metrics.items()}
        write_text(RunFolder(run).metrics, json.dumps(found, indent=1) + "\n")
    return metrics


def _some(samples: Sequence[Sample], most: int) -> Sequence[Sample]:
    """Return at most `most` samples, evenly spread."""
    return samples[:: -(-len(samples) // most)]


def _ticking(name: str, count: int, progress: Progress) -> Callable[[int], None]:
    return lambda done: progress.tick(f"{name} images, {done}/{count}")
