"""Batches drawn by several threads while the network works."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ..crops.stream import CropStream
from ..train_spec import TrainSpec
from .supervision import Scale

__all__ = ["batches"]

_AT_ONCE = min(8, os.cpu_count() or 1)
_AHEAD = 2
"""Batches that wait for the network besides those being drawn."""


def batches(
    stream: CropStream, spec: TrainSpec, *, first: int = 0, scales: Sequence[Scale] = ()
) -> tf.data.Dataset:
    """Return the batches from number `first` on, in order, without end.

    An element is (pixels, classes), and border weights where asked. With `scales` classes and
    weights are tuples: at full size, then as each auxiliary head sees them.

    Not with from_generator: its op makes malloc trim the heap at every free.
    """
    border = spec.loss == "border"
    labels = (spec.batch, stream.label_side, stream.label_side)
    pixels = (spec.batch, stream.image_side, stream.image_side, stream.channels)
    shapes = [pixels, labels, labels] if border else [pixels, labels]
    types = [tf.float32, tf.uint8, tf.float32] if border else [tf.float32, tf.uint8]

    def draw(number: tf.Tensor) -> tuple[Any, ...]:
        # A batch is a function of its number alone; a stateful op would be drawn one at a time.
        arrays = tf.numpy_function(stream.batch, [number], types, stateful=False)
        x, *rest = (tf.ensure_shape(a, shape) for a, shape in zip(arrays, shapes, strict=True))
        return (x, *([(a, *(scale.of(a) for scale in scales)) for a in rest] if scales else rest))

    drawn = tf.data.Dataset.counter(start=first).map(
        draw, num_parallel_calls=_AT_ONCE, deterministic=True
    )
    return drawn.prefetch(_AHEAD)
