"""The model that a training changes: compiled, with the heads that deep supervision adds."""

from __future__ import annotations

import keras
import tensorflow as tf

from ..crops.stream import CropStream
from ..train_spec import TrainSpec
from .distribution import SharedLoss
from .losses import make_loss
from .optimizer import computes_in_float16, make_optimizer
from .supervision import Scale, loss_weights, supervised

__all__ = ["trained_model"]


def trained_model(
    model: keras.Model, spec: TrainSpec, stream: CropStream
) -> tuple[keras.Model, tuple[Scale, ...]]:
    """Return a compiled model on the layers of `model`, and where its auxiliary heads look.

    `model` itself stays as it is: compiled, it would be saved with its optimizer's momenta.
    """
    sigmoid = _ends_in_sigmoid(model)
    trained, scales = supervised(
        model,
        spec.deep_supervision,
        image_side=stream.image_side,
        label_side=stream.label_side,
        sigmoid=sigmoid,
    )
    loss = make_loss(spec, n_classes=model.output_shape[-1], sigmoid=sigmoid)
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    if devices > 1:
        loss = SharedLoss(loss, devices)
    optimizer = make_optimizer(spec, loss_scaling=computes_in_float16(model))
    trained.compile(
        optimizer=optimizer,
        loss=[loss] * (len(scales) + 1) if scales else loss,
        loss_weights=loss_weights(len(scales)) if scales else None,
        # On two CPU cores XLA made a step five times slower.
        jit_compile="auto" if tf.config.list_logical_devices("GPU") else False,
    )
    optimizer.build(trained.trainable_variables)
    return trained, scales


def _ends_in_sigmoid(model: keras.Model) -> bool:
    """Whether each class is judged by itself; where it cannot be told, classes exclude others."""
    last = model.outputs[0]._keras_history.operation  # noqa: SLF001  (Keras has no other way)
    return getattr(last, "activation", None) is keras.activations.sigmoid
