"""The folder that a training leaves, and what of it is there after a kill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetrt.errors import ArtifactError, BadInput
from unetrt.files import output_folder

from .checkpoint import Checkpoint, load_checkpoint
from .identity import changes

__all__ = ["RunFolder"]


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
                hint="go on with it with --resume, or begin again with --restart (in Python, "
                "resume=True, or delete the file checkpoint)",
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
                hint="train without --resume to begin one",
            )
        found = load_checkpoint(self.checkpoint)
        if changed := changes(found.identity, identity):
            raise BadInput(
                f"Cannot resume {self.path} with something else than it began with",
                got="; ".join(changed),
                hint="resume with what it began with, or begin again with --restart",
            )
        return found
