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
"""Weights of the errors in the Tversky loss (Salehi et al. 2017)."""


def make_loss(spec: TrainSpec, *, n_classes: int, sigmoid: bool) -> keras.losses.Loss:
    """Return the loss that `spec` names, for a head of `n_classes` classes.

    For "border", the weights of the pixels come as Keras' `sample_weight`. With `sigmoid`, each
    class is judged by itself, not against the others.

    Raises:
        BadInput: as many class weights as classes are needed.

    Example:
        >>> import numpy as np
        >>> loss = make_loss(TrainSpec(loss="dice"), n_classes=2, sigmoid=False)
        >>> right = np.eye(2, dtype=np.float32)[[[[0, 1], [1, 0]]]]
        >>> float(loss(right.argmax(axis=-1), right))
        0.0
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
    """Hold what all losses have in common.

    Args:
        sigmoid: judge each class by itself, not against the others.
        class_weights: weight of each class; all alike if None.
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
        """Return the arguments of the loss, as Keras saves them."""
        own = {"sigmoid": self.sigmoid, "class_weights": self.class_weights}
        return {**super().get_config(), **own}

    def _weights(self, n_classes: int) -> Any:
        return ops.convert_to_tensor(self.class_weights or (1.0,) * n_classes, "float32")

    def _pixel_losses(self, labels: Any, p: Any) -> Any:
        """Return the cross-entropy of each pixel, weighted by its class; 0 where ignored."""
        known = ops.not_equal(labels, IGNORED)
        classes = ops.where(known, labels, 0)
        if self.sigmoid:
            truth = ops.one_hot(classes, p.shape[-1], dtype=p.dtype)
            each = ops.binary_crossentropy(truth, p) * self._weights(p.shape[-1])
            losses = ops.mean(each, axis=-1)
        else:
            losses = keras.losses.sparse_categorical_crossentropy(classes, p)
            if self.class_weights is not None:
                losses = losses * ops.take(self._weights(p.shape[-1]), classes)
        return ops.where(known, losses, 0.0)

    def _overlaps(self, labels: Any, p: Any) -> tuple[Any, Any, Any]:
        """Return of each class the pixels in both, in the truth and in the prediction."""
        known = ops.cast(ops.not_equal(labels, IGNORED), p.dtype)[..., None]
        truth = ops.one_hot(labels, p.shape[-1], dtype=p.dtype)  # all zeros where ignored
        pixels = (0, 1, 2)
        shared = ops.sum(truth * p, axis=pixels)
        return shared, ops.sum(truth, axis=pixels), ops.sum(p * known, axis=pixels)

    def _class_mean(self, losses: Any) -> Any:
        weights = self._weights(losses.shape[-1])
        return ops.sum(losses * weights) / ops.sum(weights)

    def _dice(self, labels: Any, p: Any) -> Any:
        shared, truth, predicted = self._overlaps(labels, p)
        # The 1 keeps a class absent from the batch at a Dice of 1, not 0/0.
        return self._class_mean(1 - (2 * shared + 1) / (truth + predicted + 1))


@keras.saving.register_keras_serializable("unetrt")
class CrossEntropy(_SegmentationLoss):
    """Compute the cross-entropy of each pixel; with a sigmoid head, the mean over classes."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return [batch, height, width], scaled so that its mean is that of the known pixels."""
        labels = ops.cast(y_true, "int32")
        return self._pixel_losses(labels, y_pred) * _known_pixels_factor(labels)


@keras.saving.register_keras_serializable("unetrt")
class Dice(_SegmentationLoss):
    """Compute one minus the mean soft Dice, pooled over the batch (Milletari et al. 2016)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one number for the batch."""
        return self._dice(ops.cast(y_true, "int32"), y_pred)


@keras.saving.register_keras_serializable("unetrt")
class CrossEntropyDice(_SegmentationLoss):
    """Add cross-entropy, which leads early, to the Dice loss, which balances the classes.

    nnU-Net trains with the sum.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one number for the batch."""
        labels = ops.cast(y_true, "int32")
        cross_entropy = self._pixel_losses(labels, y_pred) * _known_pixels_factor(labels)
        return ops.mean(cross_entropy) + self._dice(labels, y_pred)


@keras.saving.register_keras_serializable("unetrt")
class Focal(_SegmentationLoss):
    """Compute a cross-entropy that fades where the network is right (Lin et al. 2017)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return [batch, height, width], scaled so that its mean is that of the known pixels."""
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
        return losses * _known_pixels_factor(labels)


@keras.saving.register_keras_serializable("unetrt")
class Tversky(_SegmentationLoss):
    """Compute a Dice loss that weighs misses more than false alarms (Salehi et al. 2017)."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one number for the batch."""
        shared, truth, predicted = self._overlaps(ops.cast(y_true, "int32"), y_pred)
        wrong = _FALSE_POSITIVES * (predicted - shared) + _FALSE_NEGATIVES * (truth - shared)
        return self._class_mean(1 - (shared + 1) / (shared + wrong + 1))


def _known_pixels_factor(labels: Any) -> Any:
    """Return the factor that turns a mean over all pixels into one over the known ones."""
    known = ops.cast(ops.not_equal(labels, IGNORED), "float32")
    return ops.cast(ops.size(labels), "float32") / ops.maximum(ops.sum(known), 1.0)
