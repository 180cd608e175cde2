"""Train a network on a data set into a folder: the model, its learning curve, its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from unetrt import vendor
from unetrt.data import Dataset, load_dataset
from unetrt.errors import BadInput, DataError
from unetrt.files import output_folder, sha256_of
from unetrt.progress import Progress

from .folds import Fold, ensemble_of, folds_of
from .history import Epoch, TrainResult, read_history
from .plan import TrainingPlan, plan
from .saved_plan import SavedPlan, read_plan, write_plan
from .train_spec import TrainSpec

if TYPE_CHECKING:
    from .run_folder import RunFolder

__all__ = ["resume", "train"]


def train(
    data: Dataset | str | Path,
    out: str | Path,
    spec: TrainingPlan | TrainSpec | None = None,
    *,
    folds: int | None = None,
    restart: bool = False,
    tta: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train a U-Net on a data set and evaluate its best epoch.

    The folder gets model.keras and its sidecar, history.csv, metrics.json, report.html, overlays/
    and logs/ for TensorBoard. On a CPU the same seed and epochs give the same weights to the last
    bit. What is interrupted, `resume` continues.

    Args:
        data: a data set, "brain", or a folder of images/ and labels/.
        out: folder for all of it.
        spec: network and training, as `plan` chooses them; with a `TrainSpec`, only the network is
            chosen; with None, both.
        folds: if given, share the files for training and validation out among so many trainings,
            each of which is validated on its own share: fold1/ and so on, each with its part of
            the minutes. model.keras then averages the probabilities of all their networks.
        restart: begin again over an interrupted training.
        tta: evaluate flipped and turned test images too, as "test_tta".
        progress: is told of every epoch.

    Raises:
        MissingDependency: TensorFlow is not installed.
        DataError: the data cannot be used, or the loss becomes NaN.
        BadInput: an unfinished training lies in `out`, or there are fewer files than folds.
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

    if folds is not None:
        folds_of(dataset, folds)  # before an older run is given up
    folder = RunFolder(run)
    folder.begin(restart=restart)
    identity = data_identity(dataset, on_step=progress.tick)
    saved = SavedPlan(data=dataset.source, identity=identity, plan=chosen, folds=folds, tta=tta)
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
    from .run_report import evaluated  # noqa: PLC0415

    taken = data.normalized(saved.plan.normalization)
    if saved.folds is None:
        result = _fitted(folder, saved.plan, taken, progress, resume=resume)
        return evaluated(folder, saved, result, taken, progress)
    began_with = sha256_of(folder.plan)
    folds = folds_of(taken, saved.folds)
    results = tuple(
        _fitted(
            folder.fold(fold.name),
            replace(saved.plan, training=fold.training(saved.plan.training)),
            fold.data,
            progress,
            resume=resume,
            began_with=began_with,
            fold=fold,
        )
        for fold in folds
    )
    result = _averaged(folder, saved.plan, folds, results, began_with)
    return evaluated(folder, saved, result, taken, progress, folds=folds)


def _averaged(
    folder: RunFolder,
    chosen: TrainingPlan,
    folds: Sequence[Fold],
    results: tuple[TrainResult, ...],
    began_with: str,
) -> TrainResult:
    """Save the model that averages the folds' networks."""
    from unetrt.keras_models import save_model  # noqa: PLC0415

    data = folds[0].data
    parts = {fold.name: one for fold, one in zip(folds, results, strict=True)}
    model = ensemble_of({name: one.model for name, one in parts.items()})
    file = save_model(
        model,
        folder.model,
        classes=data.classes,
        source={"data": data.name, "images": len(data.train) + len(data.val)},
        normalization=chosen.normalization,
        made_with={
            "folds": {name: one.file.sha256 for name, one in parts.items() if one.file},
            "plan": began_with,
        },
    )
    return TrainResult(model, chosen.training, (), file, folds=results)


def _fitted(
    folder: RunFolder,
    chosen: TrainingPlan,
    data: Dataset,
    progress: Progress,
    *,
    resume: bool,
    began_with: str | None = None,
    fold: Fold | None = None,
) -> TrainResult:
    """Train, keeping the folder up to date after every epoch."""
    from unetrt.keras_models import load_model  # noqa: PLC0415

    from .fit import fit  # noqa: PLC0415
    from .unet import build_unet  # noqa: PLC0415

    began_with = began_with or sha256_of(folder.plan)
    title = "The training" if fold is None else f"Fold {fold.number}"
    if resume and folder.ended(began_with):
        progress.say(f"{title} was finished")
        model, file = load_model(folder.model)
        return TrainResult(model, chosen.training, read_history(folder.history), file)
    vendor.keras().utils.set_random_seed(chosen.training.seed)
    start = chosen.start
    model = build_unet(chosen.unet) if start is None else start.load()
    network = {"network": asdict(chosen.unet)} if start is None else {"start": asdict(start)}
    which = "" if fold is None else f"fold {fold.number}/{fold.count}  "
    folds_left = 0 if fold is None else fold.count - fold.number

    def say(epoch: Epoch, best: bool) -> None:  # noqa: FBT001  (as of `fit`)
        # The folds to come take as long as this one.
        left = epoch.remaining_s + folds_left * (epoch.elapsed_s + epoch.remaining_s)
        progress.say(
            f"{which}epoch {epoch.epoch:3d}  loss {epoch.loss:.3f}"
            f"  validation Dice {epoch.val_dice:.4f}{' *' if best else '  '}"
            f"  elapsed {epoch.elapsed_s:.0f} s  remaining {left:.0f} s"
        )

    def tick(line: str) -> None:
        this = " of this fold" if fold is not None and line.endswith(" left") else ""
        progress.tick(f"{which}{line}{this}")

    images = f"{len(data.train)} images of {data.name}"
    with progress.step("train", f"{which.title()}Training on {images}"):
        result = fit(
            model,
            data,
            chosen.training,
            run=folder.path,
            resume=resume and folder.checkpoint.exists(),
            made_with={**network, "plan": began_with},
            normalization=chosen.normalization,
            on_epoch=say,
            on_step=tick,
            on_warning=lambda line: progress.say(which + line),
        )
    model, file = load_model(folder.model)
    return replace(result, model=model, file=file)
