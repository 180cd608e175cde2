"""Batch normalisation in the fused kernel is what Keras computes, and leaves no trace."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")


def _trained(keras, layer, *, steps, fused):
    from contextlib import nullcontext

    from unetrt.builder.training_model import fused_normalization

    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    inputs = keras.Input((6, 5, 3))
    inner = keras.Model(inputs, layer(inputs))
    outside = keras.Input((6, 5, 3))
    model = keras.Model(outside, keras.layers.Conv2D(2, 3)(inner(outside)))
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    with fused_normalization(model) if fused else nullcontext():
        for _ in range(steps):
            x = random.normal(3, 2, (4, 6, 5, 3)).astype(np.float32)
            model.train_on_batch(x, random.random((4, 4, 3, 2)).astype(np.float32))
    return model


def test_weights_and_statistics_are_those_of_keras(keras):
    """After some steps: kernels, gamma, beta, and both moving statistics."""
    own, fused = (
        _trained(keras, keras.layers.BatchNormalization(momentum=0.9), steps=5, fused=fused)
        for fused in (False, True)
    )
    for mine, theirs in zip(fused.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_the_kernel_is_used_and_then_no_longer(keras):
    """The traced step holds it; afterwards every layer is Keras' own again, and is saved so."""
    import tensorflow as tf

    from unetrt.builder.training_model import fused_normalization

    layer = keras.layers.BatchNormalization()
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, layer(inputs))

    def kernels():
        step = tf.function(lambda x: model(x, training=True), autograph=False)
        graph = step.get_concrete_function(tf.TensorSpec((1, 4, 4, 2))).graph
        return [op.type for op in graph.get_operations() if "FusedBatchNorm" in op.type]

    with fused_normalization(model):
        assert kernels() == ["FusedBatchNormV3"]
    assert kernels() == []
    assert "call" not in vars(layer)


@pytest.mark.parametrize("options", [{"scale": False}, {"axis": 1}, {"renorm": True}])
def test_what_the_kernel_cannot_do_is_left_to_keras(keras, options):
    """Training goes on as it would."""
    own, fused = (
        _trained(keras, keras.layers.BatchNormalization(**options), steps=2, fused=fused)
        for fused in (False, True)
    )
    for mine, theirs in zip(fused.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_frozen_layers_keep_their_statistics(keras):
    """As in Keras, a layer that is not trainable normalises by what it has seen before."""
    frozen = keras.layers.BatchNormalization(trainable=False)
    model = _trained(keras, frozen, steps=2, fused=True)
    np.testing.assert_array_equal(model.layers[1].get_weights()[2], np.zeros(3))
