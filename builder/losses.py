"""What training makes small."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["CrossEntropyDice"]


@keras.saving.register_keras_serializable("unetrt")
class CrossEntropyDice(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy plus one minus the mean soft Dice over classes, pooled over the batch.

    Expects labels [batch, height, width] of class numbers and probabilities
    [batch, height, width, classes]. Cross-entropy leads early, Dice balances the classes; the
    sum is what nnU-Net trains with.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one number for the batch."""
        n_classes = y_pred.shape[-1]
        cross_entropy = ops.mean(keras.losses.sparse_categorical_crossentropy(y_true, y_pred))
        truth = ops.one_hot(ops.cast(y_true, "int32"), n_classes, dtype=y_pred.dtype)
        overlap = ops.sum(truth * y_pred, axis=(0, 1, 2))
        total = ops.sum(truth, axis=(0, 1, 2)) + ops.sum(y_pred, axis=(0, 1, 2))
        # The 1 keeps a class absent from the batch at a Dice of 1, not 0/0.
        return cross_entropy + 1 - ops.mean((2 * overlap + 1) / (total + 1))
