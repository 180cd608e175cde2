"""What a training writes into its folder, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras

from unetrt.data import Dataset
from unetrt.sizes import SizeRule

from ..saved import save_model
from ..train_spec import TrainSpec
from .checkpoint import Checkpoint, restore, save_checkpoint
from .course import Course
from .history import Epoch, best_epoch, write_history
from .identity import identity
from .run_folder import RunFolder
from .tensorboard import TensorBoardLog

__all__ = ["Record", "Unrecorded", "record_in"]


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
