"""What turns gradients into steps."""

from __future__ import annotations

from typing import Any

import keras

from ..train_spec import TrainSpec

__all__ = ["computes_in_float16", "make_optimizer"]

_PAPER_MOMENTUM = 0.99
"""Ronneberger et al. 2015, section 3: many past steps count, since a batch is one image."""


def make_optimizer(spec: TrainSpec, *, loss_scaling: bool = False) -> keras.optimizers.Optimizer:
    """Return the optimizer of a spec; it keeps the moving average of the weights, if any.

    With `loss_scaling` gradients are kept within float16's range, and a step whose gradients
    overflow is left out.
    """
    own: dict[str, Any] = {"use_ema": True, "ema_momentum": spec.ema} if spec.ema else {}
    optimizer: keras.optimizers.Optimizer
    if spec.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(spec.learning_rate, momentum=_PAPER_MOMENTUM, **own)
    else:
        optimizer = keras.optimizers.AdamW(
            spec.learning_rate, weight_decay=spec.weight_decay, **own
        )
    return keras.optimizers.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


def computes_in_float16(model: keras.Model) -> bool:
    """Whether any layer of `model`, or of a model in it, computes in float16."""
    return any(
        computes_in_float16(layer)
        if isinstance(layer, keras.Model)
        else layer.compute_dtype == "float16"
        for layer in model.layers
    )
