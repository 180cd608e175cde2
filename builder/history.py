"""Keep the learning curve, one line an epoch, and the result of a training."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from unetrt.artifacts import KerasFile
from unetrt.files import write_text

from .train_spec import TrainSpec

if TYPE_CHECKING:
    import keras

    from .evaluate import Metrics

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
        history: one entry for each epoch.
        file: model.keras and its sidecar; None where no folder was given.
        metrics: of the images of each part: "train", "val", "test" and, where asked for,
            "test_tta"; empty where nothing was evaluated.
    """

    model: keras.Model
    spec: TrainSpec
    history: tuple[Epoch, ...] = field(repr=False)
    file: KerasFile | None = None
    metrics: Mapping[str, Metrics] = field(default_factory=dict, repr=False)

    @property
    def best(self) -> Epoch:
        """Return the epoch with the highest validation Dice."""
        return best_epoch(self.history)


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the first epoch with the highest validation Dice."""
    return max(history, key=lambda epoch: epoch.val_dice)


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
