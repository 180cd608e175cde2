import numpy as np
import pytest

from unetrt.builder.spec import UNetSpec
from unetrt.errors import BadInput, ShapeError

pytestmark = pytest.mark.tf


def shape_of(model, name):
    return tuple(model.get_layer(name).output.shape)


def test_the_article_s_network_has_its_parameters_and_shapes(keras):
    from unetrt.builder import build_unet_model

    model = build_unet_model((128, 160, 1), 2)
    assert model.count_params() == 34_585_794
    for level, filters in enumerate((32, 64, 128, 256, 512), start=1):
        height, width = 128 >> (level - 1), 160 >> (level - 1)
        for layer in (f"down{level}_conv2", f"up{level}_upconv", f"up{level}_conv2"):
            assert shape_of(model, layer) == (None, height, width, filters)
        assert shape_of(model, f"up{level}_concat") == (None, height, width, 2 * filters)
    assert shape_of(model, "bottleneck_conv2") == (None, 4, 5, 1024)
    assert model.output_shape == (None, 128, 160, 2)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert (kinds.count("Conv2D"), kinds.count("Conv2DTranspose")) == (23, 5)
    rates = {layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"}
    assert (kinds.count("Dropout"), rates) == (10, {0.3})


def test_probabilities_sum_to_one_at_any_size_that_can_be_halved(keras):
    from unetrt.builder import build_unet

    model = build_unet(UNetSpec.small(3, 4, mean=100.0, std=50.0))
    for height, width in ((32, 64), (96, 32)):
        y = model.predict_on_batch(np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)))
        assert y.shape == (2, height, width, 4)
        np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-5)


def test_pixels_are_normalised_inside_the_model(keras):
    from unetrt.builder import build_unet

    keras.utils.set_random_seed(0)
    plain = build_unet(UNetSpec(shape=(None, None, 1), n_classes=2, filters=(4,), bottleneck=4))
    spec = UNetSpec(
        shape=(None, None, 1),
        n_classes=2,
        filters=(4,),
        bottleneck=4,
        pixel_mean=100.0,
        pixel_std=20.0,
    )
    whole = build_unet(spec)
    whole.set_weights(plain.get_weights())
    x = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(
        whole.predict_on_batch(x), plain.predict_on_batch((x - 100) / 20), atol=1e-5
    )


def test_a_side_that_cannot_be_halved_names_the_nearest_that_can():
    with pytest.raises(ShapeError, match=r"height: got 100, expected a multiple of 32.*96 and 128"):
        UNetSpec(shape=(100, 128, 1), n_classes=2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n_classes": 1}, "n_classes of at least 2"),
        ({"n_classes": 2, "filters": ()}, "needs filters in every block"),
        ({"n_classes": 2, "filters": (8, 0)}, "needs filters in every block"),
        ({"n_classes": 2, "normalization": "instance"}, "no such normalization: got instance"),
        ({"n_classes": 2, "pixel_std": 0.0}, "Cannot normalise pixels"),
    ],
)
def test_a_spec_that_makes_no_network_is_refused(fields, words):
    with pytest.raises(BadInput, match=words):
        UNetSpec(shape=(None, None, 1), **fields)
