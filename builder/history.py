"""Keep the learning curve: one line an epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from unetrt.files import write_text

__all__ = ["Epoch", "best_epoch", "write_history"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the learning curve.

    Attributes:
        epoch: its number, from 1.
        loss: mean over its steps.
        val_dice: mean over the foreground classes, on the validation images.
        learning_rate: of its last step.
        elapsed_s: since training began, the time before an interruption included.
        remaining_s: until the end, as far as can be told.
    """

    epoch: int
    loss: float
    val_dice: float
    learning_rate: float
    elapsed_s: float
    remaining_s: float


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
