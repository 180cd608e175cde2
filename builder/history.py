"""Keep the learning curve, one line an epoch, and the result of a training."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from unetrt.artifacts import KerasFile
from unetrt.errors import BadInput
from unetrt.files import write_text

from .train_spec import TrainSpec

if TYPE_CHECKING:
    import keras

    from unetrt.metrics import Metrics

__all__ = ["Epoch", "TrainResult", "best_epoch", "read_history", "write_history"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """Hold one line of the learning curve.

    Attributes:
        epoch: its number, from 1.
        loss: mean over its steps.
        val_dice: mean over the foreground classes, on the validation images.
        learning_rate: of its last step.
        elapsed_s: since training began, the time before an interruption included.
        remaining_s: until the end, as far as can be told.

    Example:
        >>> curve = [Epoch(1, 0.8, 0.5, 3e-3, 9.0, 9.0), Epoch(2, 0.6, 0.7, 1e-4, 18.0, 0.0)]
        >>> best_epoch(curve).epoch
        2
    """

    epoch: int
    loss: float
    val_dice: float
    learning_rate: float
    elapsed_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Hold a trained model and how it got there.

    Attributes:
        model: the Keras model, with the weights of its best epoch.
        spec: the training as it was, its crop rounded up to a size that the network takes.
        history: one entry for each epoch; of an ensemble none: its folds have their own.
        file: model.keras and its sidecar; None where no folder was given.
        metrics: of the images of each part: "train", "val", "test" and, where asked for,
            "test_tta"; of an ensemble "test", each fold's files that it did not see as "fold1",
            ..., and all of these together as "cross_validation"; empty where nothing was
            evaluated.
        folds: the trainings whose networks the model averages; empty for a single training.
    """

    model: keras.Model
    spec: TrainSpec
    history: tuple[Epoch, ...] = field(repr=False)
    file: KerasFile | None = None
    metrics: Mapping[str, Metrics] = field(default_factory=dict, repr=False)
    folds: tuple[TrainResult, ...] = field(default=(), repr=False)

    @property
    def best(self) -> Epoch:
        """Return the epoch with the highest validation Dice.

        Raises:
            BadInput: the model is an ensemble.
        """
        if self.folds:
            raise BadInput(
                "An ensemble has no best epoch", hint="look at those of its parts, in `folds`"
            )
        return best_epoch(self.history)


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the first epoch with the highest validation Dice once the learning rate has halved.

    Before that, of all: weights that still move fast owe a high figure to luck, the more so the
    fewer images it is of.
    """
    peak = max(epoch.learning_rate for epoch in history)
    settled = [epoch for epoch in history if epoch.learning_rate <= peak / 2]
    return max(settled or history, key=lambda epoch: epoch.val_dice)


def write_history(path: Path, history: Sequence[Epoch]) -> None:
    """Write the curve as CSV, whole: Keras' CSVLogger appends, and a kill leaves half a line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    write_text(path, text.getvalue())


def read_history(path: Path) -> tuple[Epoch, ...]:
    """Read the curve that `write_history` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return tuple(
        Epoch(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()})
        for row in rows
    )
