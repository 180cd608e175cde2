"""Layers of Keras' own that compute the same in a way that makes fewer nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

__all__ = ["simpler_call"]

_IMAGE_RANK = 4


def simpler_call(layer: keras.layers.Layer) -> Callable[..., Any] | None:
    """Return what to call in the layer's place, or None.

    A subclass may do more than its parent, so only Keras' own classes count.
    """
    if type(layer) is keras.layers.UpSampling2D and layer.interpolation == "nearest":
        return _nearest(layer)
    if type(layer) is keras.layers.GroupNormalization and layer.axis in (-1, _IMAGE_RANK - 1):
        return _group_normalization(layer)
    return None


def _nearest(layer: keras.layers.UpSampling2D) -> Callable[..., Any]:
    """Return nearest up-sampling as one operation; Keras' repeats become twenty nodes of ONNX."""
    rows, columns = layer.size

    def call(x: tf.Tensor) -> tf.Tensor:
        size = (x.shape[1] * rows, x.shape[2] * columns)
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size)

    return call


def _group_normalization(layer: keras.layers.GroupNormalization) -> Callable[..., Any]:
    """Return group normalisation without the reshapes to groups, which would hold the size.

    The mean of a group is the mean of its channels' means: a 1x1 convolution of [N, 1, 1, C].
    """
    own = layer.call

    def call(x: tf.Tensor) -> Any:
        if len(x.shape) != _IMAGE_RANK:
            return own(x)
        channels = x.shape[-1]
        groups = layer.groups if layer.groups != -1 else channels
        size = channels // groups
        averaging = np.kron(np.eye(groups), np.full((size, size), 1 / size)).astype(np.float32)

        def over_groups(y: tf.Tensor) -> tf.Tensor:
            means = tf.reduce_mean(y, axis=(1, 2), keepdims=True)
            return tf.nn.conv2d(means, averaging[np.newaxis, np.newaxis], 1, "VALID")

        centred = x - over_groups(x)
        variance = over_groups(centred * centred)
        # Not a scalar: tf2onnx 1.17 cannot move a Transpose past an Add of one.
        y = centred / tf.sqrt(variance + tf.fill([channels], layer.epsilon))
        y = ops.multiply(y, layer.gamma) if layer.scale else y
        return ops.add(y, layer.beta) if layer.center else y

    return call
