"""Keras, and Keras models that several rooms convert."""

import pytest


@pytest.fixture
def keras():
    """Keras, its weights the same in every run."""
    pytest.importorskip("tensorflow")
    from unetrt import vendor

    keras = vendor.keras()
    keras.utils.set_random_seed(0)
    return keras


@pytest.fixture
def two_headed(keras):
    """A model of two inputs and two outputs by name, with a model inside."""
    image, mask = keras.Input((None, None, 1), name="image"), keras.Input((None, None, 2), name="m")
    x = keras.layers.Concatenate()([image, mask])
    encoder = keras.Sequential(
        [
            keras.layers.Conv2D(3, 3, padding="same", name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
        ],
        name="encoder",
    )
    x = encoder(x)
    heads = {
        "seg": keras.layers.Conv2D(2, 1, activation="softmax", name="seg_head")(x),
        "edge": keras.layers.Conv2D(1, 1, name="edge_head")(x),
    }
    return keras.Model({"image": image, "m": mask}, heads, name="two_headed")
