"""Keep the folder of a training run: model, checkpoint, learning curve, TensorBoard logs."""

from __future__ import annotations

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
from unetrt.sizes import SizeRule, as_batch

from .checkpoints import (
    Checkpoint,
    changes,
    identity,
    load_checkpoint,
    plain,
    restore,
    save_checkpoint,
    spec_changes,
)
from .history import Epoch, best_epoch, write_history
from .loop import Course
from .spec import UNetSpec
from .train_spec import TrainSpec

__all__ = ["Record", "RunFolder", "record_in"]


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder RUN and the files in it.

    An epoch writes model.keras (if it is the best), then history.csv, then the checkpoint: what
    the checkpoint does not know of is done again.
    """

    path: Path

    @property
    def model(self) -> Path:
        """The best epoch's model."""
        return self.path / "model.keras"

    @property
    def history(self) -> Path:
        """The learning curve."""
        return self.path / "history.csv"

    @property
    def logs(self) -> Path:
        """TensorBoard's folder."""
        return self.path / "logs"

    @property
    def checkpoint(self) -> Path:
        """What resuming needs; gone once training is finished."""
        return self.path / "checkpoint"

    @property
    def finished(self) -> bool:
        """Whether a training came to its end here."""
        return self.model.exists() and self.history.exists() and not self.checkpoint.exists()

    def begin(self) -> None:
        """Make ready for a new training.

        Raises:
            BadInput: an unfinished training lies here.
            OutputError: the folder cannot be written.
        """
        if self.checkpoint.exists():
            raise BadInput(
                f"{self.path} holds an unfinished training",
                expected="an empty folder, or a finished run",
                hint="continue it with `resume=True`, or begin again with `restart=True`",
            )
        output_folder(self.path)
        for log in self.logs.glob("events.out.tfevents.*"):
            log.unlink()  # TensorBoard would draw two trainings as one curve

    def forget(self) -> None:
        """Give up an unfinished training, if one lies here."""
        self.checkpoint.unlink(missing_ok=True)

    def resume(self, identity: dict[str, Any]) -> Checkpoint:
        """Return where the training that lies here stopped.

        Raises:
            ArtifactError: there is none, it is finished, or the checkpoint is damaged.
            BadInput: it was of another spec, network or data.
        """
        if not self.checkpoint.exists():
            raise ArtifactError(
                f"Cannot resume {self.path}",
                got="a finished training" if self.finished else "no training",
                expected="one that was interrupted",
                hint="train without `resume=True` to begin one",
            )
        found = load_checkpoint(self.checkpoint)
        self._refuse(changes(found.identity, identity))
        return found

    def check_finished(self, file: KerasFile, spec: TrainSpec, network: UNetSpec) -> None:
        """See that the training that came to its end here was of this spec and network.

        Raises:
            BadInput: it was of others.
        """
        now = plain({"spec": asdict(spec), "network": asdict(network)})
        self._refuse(spec_changes({name: file.made_with.get(name, {}) for name in now}, now))

    def _refuse(self, changed: list[str]) -> None:
        if changed:
            raise BadInput(
                f"Cannot resume {self.path} with something else than it began with",
                got="; ".join(changed),
                hint="resume with what it began with, or begin again with `restart=True`",
            )


_SHOWN = 3


class TensorBoardLog:
    """Writes an epoch at a time. Keras' own callback shows no images and writes the graph."""

    def __init__(self, folder: Path, samples: Sequence[Sample], sizes: SizeRule) -> None:
        """Begin, or go on with, the logs in `folder`.

        Raises:
            MissingDependency: tensorboard is not installed.
        """
        vendor.need("tensorboard", extra="train", purpose="Logging a training")
        self._writer = tf.summary.create_file_writer(str(folder))
        self._samples = samples[:: max(1, len(samples) // _SHOWN)][:_SHOWN]
        self._sizes = sizes

    def write(self, epoch: Epoch, model: keras.Model, *, images: bool) -> None:
        """Log an epoch's figures and, if asked, what `model` makes of the images."""
        with self._writer.as_default(step=epoch.epoch):
            for name in ("loss", "val_dice", "learning_rate"):
                tf.summary.scalar(name, getattr(epoch, name))
            for sample in self._samples if images else ():
                height, width = sample.label.shape
                answer = model.predict_on_batch(as_batch(sample.image, self._sizes))
                classes = answer[0, :height, :width].argmax(axis=-1)
                shown = panels(sample.image, sample.label, classes)
                tf.summary.image(sample.name, shown[None])
        self._writer.flush()


def record_in(
    run: Path | None,
    model: keras.Model,
    data: Dataset,
    spec: TrainSpec,
    sizes: SizeRule,
    *,
    resume: bool,
    made_with: Mapping[str, Any],
    on_step: Callable[[str], None],
) -> Record | Unrecorded:
    """Return the record of a training that begins, or goes on, in the folder `run`.

    Raises:
        BadInput: as RunFolder.begin and RunFolder.resume.
        ArtifactError: as RunFolder.resume.
    """
    if run is None:
        return Unrecorded()
    folder = RunFolder(run)
    if not resume:
        folder.begin()  # before the time that hashing the data takes
    what = identity(model, data, spec, on_step=on_step)
    found = folder.resume(what) if resume else None
    return Record(folder, model, data, spec, sizes, identity=what, made_with=made_with, found=found)


class Unrecorded:
    """A training that leaves nothing but its model."""

    spent_s = 0.0

    def start(self, course: Course, trained: keras.Model) -> None:
        """Leave nothing."""

    def keep(self, course: Course, epoch: Epoch, *, best: bool) -> None:
        """Leave nothing."""

    def checkpoint(self, course: Course, trained: keras.Model, spent_s: float) -> None:
        """Leave nothing."""

    def finish(self) -> None:
        """Leave nothing."""


class Record:
    """Keeps a folder up to date with a training.

    Args:
        folder: where.
        model: what is kept of the training.
        data: named in the model's sidecar; its validation images are drawn.
        spec: as trained, in the model's sidecar.
        sizes: of the model.
        identity: of all that, for the checkpoint.
        made_with: what the model's sidecar shall say besides.
        found: where an interrupted training was, to go on from there.
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
        found: Checkpoint | None,
    ) -> None:
        self._found = found
        self._folder = folder
        self._model = model
        self._data = data
        self._identity = identity
        self._made_with = {**made_with, "spec": asdict(spec)}
        self._log = TensorBoardLog(folder.logs, data.val, sizes)

    @property
    def spent_s(self) -> float:
        """Seconds that an interrupted training had taken."""
        return 0.0 if self._found is None else self._found.spent_s

    def start(self, course: Course, trained: keras.Model) -> None:
        """Set `course` and all variables to where an interrupted training was.

        One that begins leaves its first checkpoint: from here on it can be resumed.
        """
        found = self._found
        if found is None:
            self.checkpoint(course, trained, 0.0)
            return
        course.step = found.step
        course.history = list(found.history)
        course.best_weights = found.best_weights
        if found.history:  # the files may be of an epoch that the checkpoint does not know of
            self._model.set_weights(found.best_weights)
            self._save(best_epoch(found.history))
            write_history(self._folder.history, found.history)
        restore(found, trained, trained.optimizer)

    def keep(self, course: Course, epoch: Epoch, *, best: bool) -> None:
        """Write what is to be seen of an epoch; the model holds its weights."""
        if best:
            self._save(epoch)
        write_history(self._folder.history, course.history)
        self._log.write(epoch, self._model, images=best)

    def checkpoint(self, course: Course, trained: keras.Model, spent_s: float) -> None:
        """Write what resuming needs, the last of an epoch's files."""
        state = Checkpoint(
            path=self._folder.checkpoint,
            identity=self._identity,
            step=course.step,
            spent_s=spent_s,
            history=tuple(course.history),
            best_weights=course.best_weights,
        )
        save_checkpoint(state, trained, trained.optimizer)

    def finish(self) -> None:
        """Leave nothing that could be resumed."""
        self._folder.checkpoint.unlink()

    def _save(self, epoch: Epoch) -> None:
        save_model(
            self._model,
            self._folder.model,
            classes=self._data.classes,
            source={"data": self._data.name, "images": len(self._data.train)},
            made_with={**self._made_with, "epoch": epoch.epoch},
        )
