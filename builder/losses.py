"""Compute the losses that training minimises."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unetrt.data import IGNORED, Dataset
from unetrt.errors import BadInput

from .train_spec import TrainSpec

__all__ = ["check_loss", "make_loss"]

_FOCUS = 2.0
"""Exponent of the focal loss (Lin et al. 2017)."""
_FALSE_POSITIVES, _FALSE_NEGATIVES = 0.3, 0.7
"""What errors weigh in the Tversky loss (Salehi et al. 2017)."""


def make_loss(spec: TrainSpec, *, n_classes: int, sigmoid: bool) -> keras.losses.Loss:
    """Return the loss that `spec` names, for a head of `n_classes` classes.

    For "border", the weights of the pixels come as Keras' `sample_weight`.

    Raises:
        BadInput: as many class weights as classes are needed.
    """
    weights = spec.class_weights
    if weights is not None and len(weights) != n_classes:
        raise BadInput(
            "The class weights do not fit the classes",
            got=f"{len(weights)} weights",
            expected=f"{n_classes}, one a class, the background first",
        )
    kinds = {
        "ce": CrossEntropy,
        "border": CrossEntropy,
        "dice": Dice,
        "ce_dice": CrossEntropyDice,
        "focal": Focal,
        "tversky": Tversky,
    }
    return kinds[spec.loss](sigmoid=sigmoid, class_weights=weights)


def check_loss(spec: TrainSpec, data: Dataset, n_classes: int) -> None:
    """Raise BadInput where the loss cannot be computed on the data."""
    make_loss(spec, n_classes=n_classes, sigmoid=False)
    if spec.loss == "border" and any(sample.instances is None for sample in data.train):
        raise BadInput(
            f"Border weights cannot be drawn for {data.name!r}",
            got="labels that do not tell one object from the next",
            expected="labels that number instances",
            hint='say "labels": "instances" in dataset.json, or choose another loss',
        )


class _SegmentationLoss(keras.losses.Loss):  # type: ignore[misc]
    """What all have in common.

    Args:
        sigmoid: each class is judged by itself, not against the others.
        class_weights: of each class; all alike if None.
        name: as Keras has it.
    """

    def __init__(
        self,
        *,
        sigmoid: bool = False,
        class_weights: tuple[float, ...] | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        self.sigmoid = sigmoid
        self.class_weights = class_weights

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made of."""
        own = {"sigmoid": self.sigmoid, "class_weights": self.class_weights}
        return {**super().get_config(), **own}

    def _weights(self, n_classes: int) -> Any:
        return ops.convert_to_tensor(self.class_weights or (1.0,) * n_classes, "float32")

    def _pixel_losses(self, labels: Any, p: Any) -> Any:
        """Return the cross-entropy of each pixel, its class' weight in it; 0 where ignored."""
        counts = ops.not_equal(labels, IGNORED)
        known = ops.where(counts, labels, 0)
        if self.sigmoid:
            truth = ops.one_hot(known, p.shape[-1], dtype=p.dtype)
            each = ops.binary_crossentropy(truth, p) * self._weights(p.shape[-1])
            losses = ops.mean(each, axis=-1)
        else:
            losses = keras.losses.sparse_categorical_crossentropy(known, p)
            if self.class_weights is not None:
                losses = losses * ops.take(self._weights(p.shape[-1]), known)
        return ops.where(counts, losses, 0.0)

    def _overlaps(self, labels: Any, p: Any) -> tuple[Any, Any, Any]:
        """Return, for each class, what truth and prediction share, and each by itself."""
        counts = ops.cast(ops.not_equal(labels, IGNORED), p.dtype)[..., None]
        truth = ops.one_hot(labels, p.shape[-1], dtype=p.dtype)  # nothing where ignored
        pixels = (0, 1, 2)
        shared = ops.sum(truth * p, axis=pixels)
        return shared, ops.sum(truth, axis=pixels), ops.sum(p * counts, axis=pixels)

    def _class_mean(self, losses: Any) -> Any:
        weights = self._weights(losses.shape[-1])
        return ops.sum(losses * weights) / ops.sum(weights)

    def _dice(self, labels: Any, p: Any) -> Any:
        shared, truth, predicted = self._overlaps(labels, p)
        # The 1 keeps a class absent from the batch at a Dice of 1, not 0/0.
        return self._class_mean(1 - (2 * shared + 1) / (truth + predicted + 1))


@keras.saving.register_keras_serializable("unetrt")
class CrossEntropy(_SegmentationLoss):
    """Cross-entropy of each pixel that counts; with a sigmoid head, the mean of each class' own."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return [batch, height, width], scaled so that its mean is that of what counts."""
        labels = ops.cast(y_true, "int32")
        return self._pixel_losses(labels, y_pred) * _share_that_counts(labels)


@keras.saving.register_keras_serializable("unetrt")
class Dice(_SegmentationLoss):
    """One minus the mean soft Dice over classes, pooled over the batch (Milletari et al. 2016)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one number for the batch."""
        return self._dice(ops.cast(y_true, "int32"), y_pred)


@keras.saving.register_keras_serializable("unetrt")
class CrossEntropyDice(_SegmentationLoss):
    """Cross-entropy plus Dice loss: the one leads early, the other balances the classes.

    The sum is what nnU-Net trains with.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one number for the batch."""
        labels = ops.cast(y_true, "int32")
        cross_entropy = self._pixel_losses(labels, y_pred) * _share_that_counts(labels)
        return ops.mean(cross_entropy) + self._dice(labels, y_pred)


@keras.saving.register_keras_serializable("unetrt")
class Focal(_SegmentationLoss):
    """Cross-entropy that fades where the network is right already (Lin et al. 2017)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return [batch, height, width], scaled so that its mean is that of what counts."""
        labels = ops.cast(y_true, "int32")
        truth = ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
        if self.sigmoid:
            wrong = ops.abs(truth - y_pred) ** _FOCUS
            each = wrong * ops.binary_crossentropy(truth, y_pred)
            losses = ops.mean(each * self._weights(y_pred.shape[-1]), axis=-1)
            losses = ops.where(ops.not_equal(labels, IGNORED), losses, 0.0)
        else:
            wrong = (1 - ops.sum(truth * y_pred, axis=-1)) ** _FOCUS
            losses = wrong * self._pixel_losses(labels, y_pred)
        return losses * _share_that_counts(labels)


@keras.saving.register_keras_serializable("unetrt")
class Tversky(_SegmentationLoss):
    """Dice loss that weighs what is missed more than what is too much (Salehi et al. 2017)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one number for the batch."""
        shared, truth, predicted = self._overlaps(ops.cast(y_true, "int32"), y_pred)
        wrong = _FALSE_POSITIVES * (predicted - shared) + _FALSE_NEGATIVES * (truth - shared)
        return self._class_mean(1 - (shared + 1) / (shared + wrong + 1))


def _share_that_counts(labels: Any) -> Any:
    """Return what a mean over all pixels is multiplied by to be one over those that count."""
    counts = ops.cast(ops.not_equal(labels, IGNORED), "float32")
    return ops.cast(ops.size(labels), "float32") / ops.maximum(ops.sum(counts), 1.0)
