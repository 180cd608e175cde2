"""Keep the folder of a training run: model, checkpoint, learning curve, TensorBoard logs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from unetrt import vendor
from unetrt.artifacts import KerasFile
from unetrt.data import Dataset, Sample
from unetrt.data.writing import panels
from unetrt.errors import ArtifactError, BadInput
from unetrt.files import output_folder
from unetrt.keras_models import save_model
from unetrt.normalization import Normalization
from unetrt.sizes import SizeRule

from .checkpoints import (
    Checkpoint,
    identity_changes,
    load_checkpoint,
    restore,
    run_identity,
    save_checkpoint,
)
from .evaluate import predicted_classes
from .history import Epoch, best_epoch, write_history
from .loop import TrainingLoop
from .train_spec import TrainSpec

__all__ = ["RunFolder", "RunWriter", "open_run"]

_LOGGED_IMAGES = 3


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Name the files that a training leaves in its folder.

    An epoch writes model.keras (if it is the best), then history.csv, then the checkpoint: an
    epoch that the checkpoint does not know of is repeated.

    Example:
        >>> folder = RunFolder(Path("run"))
        >>> folder.begin()
        >>> folder.model.name, folder.finished
        ('model.keras', False)
    """

    path: Path

    @property
    def model(self) -> Path:
        """Return the model of the best epoch."""
        return self.path / "model.keras"

    @property
    def history(self) -> Path:
        """Return the learning curve, CSV."""
        return self.path / "history.csv"

    @property
    def metrics(self) -> Path:
        """Return the metrics of the best epoch, JSON."""
        return self.path / "metrics.json"

    @property
    def plan(self) -> Path:
        """Return what the training began with, JSON."""
        return self.path / "plan.json"

    @property
    def logs(self) -> Path:
        """Return the folder of TensorBoard's logs."""
        return self.path / "logs"

    @property
    def checkpoint(self) -> Path:
        """Return the state that resuming needs; gone once training is finished."""
        return self.path / "checkpoint"

    @property
    def report(self) -> Path:
        """Return the page on the whole training, HTML."""
        return self.path / "report.html"

    def fold(self, name: str) -> RunFolder:
        """Return the folder of one training of a cross-validation."""
        return RunFolder(self.path / name)

    @property
    def folds(self) -> tuple[RunFolder, ...]:
        """Return the folders of the folds that were begun."""
        return tuple(
            RunFolder(path)
            for path in sorted(self.path.glob("fold[0-9]*"))
            if (path / "checkpoint").exists() or (path / "history.csv").exists()
        )

    @property
    def unfinished(self) -> bool:
        """Return whether a training was interrupted here, between two folds too."""
        between = bool(self.folds) and not self.metrics.exists()
        return between or any(one.checkpoint.exists() for one in (self, *self.folds))

    @property
    def finished(self) -> bool:
        """Return whether a training came to its end here."""
        return self.model.exists() and self.history.exists() and not self.checkpoint.exists()

    def begin(self, *, restart: bool = False) -> None:
        """Make ready for a new training; with `restart`, give up one that is unfinished.

        Raises:
            BadInput: an unfinished training lies here.
            OutputError: the folder cannot be written.
        """
        if self.unfinished and not restart:
            raise BadInput(
                f"{self.path} holds an unfinished training",
                expected="an empty folder, or a finished run",
                hint="resume it, or train again with `restart=True`",
            )
        output_folder(self.path)
        # Metrics would be of another model; TensorBoard would draw two trainings as one curve.
        for fold in self.folds:
            shutil.rmtree(fold.path)
        for old in (
            self.checkpoint,
            self.metrics,
            self.report,
            *self.logs.glob("events.out.tfevents.*"),
        ):
            old.unlink(missing_ok=True)

    def resume(self, identity: dict[str, Any]) -> Checkpoint:
        """Read the last checkpoint of the training that was interrupted here.

        Raises:
            ArtifactError: there is none, it is finished, or the checkpoint is damaged.
            BadInput: it was of another spec, network or data.
        """
        if not self.checkpoint.exists():
            raise self._nothing("a finished training" if self.finished else "no training")
        found = load_checkpoint(self.checkpoint)
        self.refuse(identity_changes(found.identity, identity))
        return found

    def check_unfinished(self) -> None:
        """Raise ArtifactError where a training came to its end, its evaluation included."""
        if self.metrics.exists() and not self.unfinished:
            raise self._nothing("a finished training")

    def ended(self, plan: str) -> bool:
        """Return whether the training came to its end here whose plan.json has this sha256."""
        return self.finished and KerasFile.load(self.model).made_with.get("plan") == plan

    def _nothing(self, got: str) -> ArtifactError:
        return ArtifactError(
            f"Cannot resume {self.path}",
            got=got,
            expected="one that was interrupted",
            hint="train to begin one",
        )

    def refuse(self, changes: list[str]) -> None:
        """Raise BadInput if anything has changed since the training here began."""
        if changes:
            raise BadInput(
                f"Cannot resume {self.path} with something else than it began with",
                got="; ".join(changes),
                hint="resume it with what it began with, or train again with `restart=True`",
            )


def open_run(
    run: Path | None,
    model: keras.Model,
    data: Dataset,
    spec: TrainSpec,
    sizes: SizeRule,
    *,
    resume: bool,
    restart: bool,
    made_with: Mapping[str, Any],
    normalization: Normalization | None = None,
    on_step: Callable[[str], None],
) -> RunWriter | NoRun:
    """Open the folder of a training that begins or is resumed.

    Raises:
        BadInput: as RunFolder.begin and RunFolder.resume.
        ArtifactError: as RunFolder.resume.
        MissingDependency: tensorboard is not installed.
    """
    if run is None:
        return NoRun()
    folder = RunFolder(run)
    if not resume:
        folder.begin(restart=restart)  # before the time that hashing the data takes
    identity = run_identity(model, data, spec, on_step=on_step)
    found = folder.resume(identity) if resume else None
    return RunWriter(
        folder,
        model,
        data,
        spec,
        sizes,
        identity=identity,
        made_with=made_with,
        normalization=normalization,
        found=found,
    )


class RunWriter:
    """Keep a folder up to date with a training.

    Args:
        folder: the folder.
        model: the model that is kept of the training.
        data: named in the model's sidecar; its validation images are drawn.
        spec: as trained, for the model's sidecar.
        sizes: sizes that the model takes.
        identity: of all that, for the checkpoint.
        made_with: other entries of the model's sidecar.
        normalization: that the images of `data` have been through.
        found: the checkpoint to resume from, if any.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: keras.Model,
        data: Dataset,
        spec: TrainSpec,
        sizes: SizeRule,
        *,
        identity: dict[str, Any],
        made_with: Mapping[str, Any],
        normalization: Normalization | None,
        found: Checkpoint | None,
    ) -> None:
        self._normalization = normalization
        self._found = found
        self._folder = folder
        self._model = model
        self._data = data
        self._identity = identity
        self._made_with = {**made_with, "spec": asdict(spec)}
        self._log = TensorBoardLog(folder.logs, data.val, sizes)

    @property
    def spent_s(self) -> float:
        """Return the seconds that an interrupted training had taken."""
        return 0.0 if self._found is None else self._found.spent_s

    def start(self, loop: TrainingLoop, trained: keras.Model) -> None:
        """Set `loop` and all variables to the checkpoint to resume from.

        A training that begins writes its first checkpoint: from here on it can be resumed.
        """
        found = self._found
        if found is None:
            self.checkpoint(loop, trained, 0.0)
            return
        loop.step = found.step
        loop.history = list(found.history)
        loop.best_weights = found.best_weights
        if found.history:  # the files may be of an epoch that the checkpoint does not know of
            self._model.set_weights(found.best_weights)
            self._save(best_epoch(found.history))
            write_history(self._folder.history, found.history)
        restore(found, trained, trained.optimizer)

    def keep(self, loop: TrainingLoop, epoch: Epoch, *, best: bool) -> None:
        """Write the learning curve, the logs and the model, which holds the epoch's weights."""
        if best:
            self._save(epoch)
        write_history(self._folder.history, loop.history)
        self._log.write(epoch, self._model, images=best)

    def checkpoint(self, loop: TrainingLoop, trained: keras.Model, spent_s: float) -> None:
        """Write the state that resuming needs, the last of an epoch's files."""
        state = Checkpoint(
            path=self._folder.checkpoint,
            identity=self._identity,
            step=loop.step,
            spent_s=spent_s,
            history=tuple(loop.history),
            best_weights=loop.best_weights,
        )
        save_checkpoint(state, trained, trained.optimizer)

    def finish(self) -> None:
        """Remove the checkpoint: there is nothing to resume any more."""
        self._folder.checkpoint.unlink()

    def _save(self, epoch: Epoch) -> None:
        save_model(
            self._model,
            self._folder.model,
            classes=self._data.classes,
            source={"data": self._data.name, "images": len(self._data.train)},
            normalization=self._normalization,
            made_with={**self._made_with, "epoch": epoch.epoch},
        )


class NoRun:
    """Write nothing, for a training that leaves nothing but its model."""

    spent_s = 0.0

    def start(self, loop: TrainingLoop, trained: keras.Model) -> None:
        """Write nothing."""

    def keep(self, loop: TrainingLoop, epoch: Epoch, *, best: bool) -> None:
        """Write nothing."""

    def checkpoint(self, loop: TrainingLoop, trained: keras.Model, spent_s: float) -> None:
        """Write nothing."""

    def finish(self) -> None:
        """Write nothing."""


class TensorBoardLog:
    """Log an epoch at a time; Keras' own callback shows no images and writes the graph."""

    def __init__(self, folder: Path, samples: Sequence[Sample], sizes: SizeRule) -> None:
        vendor.need("tensorboard", extra="train", purpose="Logging a training")
        self._writer = tf.summary.create_file_writer(str(folder))
        self._samples = samples[:: max(1, len(samples) // _LOGGED_IMAGES)][:_LOGGED_IMAGES]
        self._sizes = sizes

    def write(self, epoch: Epoch, model: keras.Model, *, images: bool) -> None:
        """Log an epoch's figures and, if asked, the predictions of `model` for some images."""
        with self._writer.as_default(step=epoch.epoch):
            for name in ("loss", "val_dice", "learning_rate"):
                tf.summary.scalar(name, getattr(epoch, name))
            for sample in self._samples if images else ():
                classes = predicted_classes(model, sample.image, self._sizes)
                drawn = panels(sample.image, sample.label, classes)
                tf.summary.image(sample.name, drawn[None])
        self._writer.flush()
