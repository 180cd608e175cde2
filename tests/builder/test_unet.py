import numpy as np
import pytest

from unetrt.builder.spec import UNetSpec
from unetrt.errors import BadInput, ShapeError
from unetrt.sizes import SizeRule

pytestmark = pytest.mark.tf

TINY = {"filters": (4, 8), "bottleneck": 8}


def block_shapes(model, block):
    """Return the shapes of what leaves a block, each without the batch."""
    import keras

    made = keras.Operation.output.fget(model.get_layer(block))
    return [tuple(part.shape[1:]) for part in (made if isinstance(made, list) else [made])]


def test_the_article_s_network_has_its_parameters_and_shapes(keras):
    from unetrt.builder import build_unet_model

    model = build_unet_model((128, 160, 1), 2)
    assert model.count_params() == 34_585_794
    for level, filters in enumerate((32, 64, 128, 256, 512), start=1):
        height, width = 128 >> (level - 1), 160 >> (level - 1)
        down, skip = block_shapes(model, f"down{level}")
        assert down == (height // 2, width // 2, filters)
        assert skip == (height, width, filters)
        up = model.get_layer(f"up{level}")
        assert block_shapes(model, f"up{level}") == [skip]
        for name in ("conv1", "conv2"):
            assert model.get_layer(f"down{level}").get_layer(name).filters == filters
            assert up.get_layer(name).filters == filters
        assert up.get_layer("upconv").kernel.shape == (3, 3, filters, 2 * filters)
        assert up.get_layer("concat").output.shape[-1] == 2 * filters
    assert block_shapes(model, "bottleneck") == [(4, 5, 1024)]
    assert model.output_shape == (None, 128, 160, 2)
    layers = [layer for layer in model._flatten_layers() if not hasattr(layer, "layers")]
    kinds = [type(layer).__name__ for layer in layers]
    assert (kinds.count("Conv2D"), kinds.count("Conv2DTranspose")) == (23, 5)
    rates = {layer.rate for layer in layers if type(layer).__name__ == "Dropout"}
    assert (kinds.count("Dropout"), rates) == (10, {0.3})


def test_the_paper_s_network_has_its_parameters_and_its_table_of_sizes(keras):
    from unetrt.builder import build_unet
    from unetrt.keras_models import size_rule

    spec = UNetSpec.paper((572, 572, 1), 2)
    model = build_unet(spec)
    assert model.count_params() == 31_030_658
    assert model.output_shape == (None, 388, 388, 2)
    skips, entering = (568, 280, 136, 64), (284, 140, 68, 32)
    crops, leaving = (4, 16, 40, 88), (388, 196, 100, 52)
    for level, filters in enumerate((64, 128, 256, 512), start=1):
        down, skip = block_shapes(model, f"down{level}")
        assert skip == (skips[level - 1], skips[level - 1], filters)
        assert down == (entering[level - 1], entering[level - 1], filters)
        up = model.get_layer(f"up{level}")
        assert up.get_layer("crop").cropping == ((crops[-level],) * 2,) * 2
        assert block_shapes(model, f"up{level}") == [(leaving[level - 1],) * 2 + (filters,)]
    assert block_shapes(model, "bottleneck") == [(28, 28, 1024)]
    dropped = [layer for layer in model._flatten_layers() if "dropout" in layer.name]
    assert len(dropped) == 2
    free = build_unet(UNetSpec.paper((None, None, 1), 2))
    assert size_rule(free) == spec.sizes == SizeRule(16, 12, 92)
    assert size_rule(model) == SizeRule(margin=92)


@pytest.mark.parametrize(
    "changes",
    [
        {"padding": "valid", "upsampling_kernel": 2},
        {"padding": "valid", "upsampling_kernel": 2, "kernel_size": 5},
        {"padding": "valid", "upsampling_kernel": 2, "filters": (4, 4, 4)},
        {"padding": "valid", "upsampling_kernel": 2, "residual": True, "attention": True},
        {"upsampling": "nearest", "normalization": "group"},
        {"filters": (4,) * 6},
    ],
)
def test_the_spec_knows_the_sizes_that_its_network_takes(keras, changes):
    from unetrt.builder import build_unet
    from unetrt.keras_models import size_rule

    spec = UNetSpec(**(TINY | {"shape": (None, None, 1), "n_classes": 2} | changes))
    model = build_unet(spec)
    assert size_rule(model) == spec.sizes
    side = spec.sizes.at_least(40)
    y = model.predict_on_batch(np.zeros((1, side, side + spec.sizes.multiple, 1), np.float32))
    assert y.shape[1] == side - 2 * spec.sizes.margin


def test_probabilities_sum_to_one_at_any_size_that_can_be_halved(keras):
    from unetrt.builder import build_unet

    spec = UNetSpec.small((None, None, 3), 4, pixel_mean=100.0, pixel_std=50.0)
    model = build_unet(spec)
    for height, width in ((32, 64), (96, 32)):
        y = model.predict_on_batch(np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)))
        assert y.shape == (2, height, width, 4)
        np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-5)


def test_classes_of_a_sigmoid_head_stand_for_themselves(keras):
    from unetrt.builder import build_unet

    keras.utils.set_random_seed(0)
    model = build_unet(UNetSpec(shape=(16, 16, 1), n_classes=3, head="sigmoid", **TINY))
    y = model.predict_on_batch(np.random.default_rng(0).normal(size=(1, 16, 16, 1)))
    assert ((y > 0) & (y < 1)).all()
    assert abs(y.sum(axis=-1) - 1).max() > 0.05


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_mixed_precision_computes_in_half_and_keeps_weights_and_answers_in_float32(keras, head):
    from unetrt.builder import build_unet

    spec = UNetSpec(
        shape=(None, None, 1),
        n_classes=2,
        head=head,
        dtype_policy="mixed_float16",
        pixel_mean=30000.0,
        pixel_std=10000.0,
        **TINY,
    )
    model = build_unet(spec)
    assert model.get_layer("down1").get_layer("conv1").compute_dtype == "float16"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    y = model.predict_on_batch(np.full((1, 16, 16, 1), 65535.0, np.float32))
    assert y.dtype == np.float32
    assert np.isfinite(y).all()  # though 65535 does not fit float16


def test_pixels_are_clipped_and_normalised_inside_the_model(keras):
    from unetrt.builder import build_unet

    keras.utils.set_random_seed(0)
    plain = build_unet(UNetSpec(shape=(None, None, 1), n_classes=2, **TINY))
    spec = UNetSpec(
        shape=(None, None, 1),
        n_classes=2,
        pixel_mean=100.0,
        pixel_std=20.0,
        pixel_range=(50.0, 200.0),
        **TINY,
    )
    whole = build_unet(spec)
    whole.set_weights(plain.get_weights())
    x = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(
        whole.predict_on_batch(x),
        plain.predict_on_batch((x.clip(50, 200) - 100) / 20),
        atol=1e-5,
    )


def test_an_attention_gate_weighs_the_skip_between_0_and_1(keras):
    from unetrt.builder import build_unet

    model = build_unet(UNetSpec(shape=(16, 16, 1), n_classes=2, attention=True, **TINY))
    gate = model.get_layer("up1").get_layer("gate")
    assert gate.output.shape[1:] == (16, 16, 1)
    assert gate.activation is keras.activations.sigmoid


def test_a_block_of_residual_weight_zero_hands_on_what_entered(keras):
    from unetrt.builder import build_unet

    spec = UNetSpec(shape=(16, 16, 4), n_classes=2, residual=True, **TINY)
    model = build_unet(spec)
    block = model.get_layer("down1")
    for name in ("conv1", "conv2"):
        layer = block.get_layer(name)
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    x = np.random.default_rng(0).uniform(0, 1, (1, 16, 16, 4)).astype(np.float32)
    _, skip = block(x)
    np.testing.assert_allclose(skip, x, rtol=1e-6)


def test_a_side_that_cannot_be_halved_names_the_nearest_that_can():
    with pytest.raises(ShapeError, match=r"height: got 100, expected a multiple of 32.*96 and 128"):
        UNetSpec.article((100, 128, 1), 2)
    with pytest.raises(ShapeError, match=r"width: got 512, expected 12 more than .* 508 and 524"):
        UNetSpec.paper((572, 512, 1), 2)
    with pytest.raises(ShapeError, match=r"got 100, .* work: 188"):
        UNetSpec.paper((100, 572, 1), 2)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n_classes": 1}, "n_classes of at least 2"),
        ({"filters": ()}, "needs filters in every block"),
        ({"filters": (8, 0)}, "needs filters in every block"),
        (
            {"normalization": "instance"},
            "no such normalization: got instance, expected one of none",
        ),
        ({"activation": "tanh"}, "no such activation"),
        ({"dtype_policy": "float16"}, "no such dtype_policy"),
        ({"kernel_size": 4}, "odd in blocks"),
        ({"padding": "valid"}, "unpadded U-Net cannot scale up.*kernel of 3.*invents no edge"),
        ({"padding": "valid", "upsampling": "nearest", "upsampling_kernel": 2}, "nearest"),
        ({"dropout": 1.0}, "dropout from 0 to below 1"),
        ({"groups": 0}, "at least one group"),
        ({"pixel_std": 0.0}, "Cannot normalise pixels"),
        ({"pixel_std": float("nan")}, "Cannot normalise pixels"),
        ({"pixel_range": (2.0, 1.0)}, "a range that rises"),
    ],
)
def test_a_spec_that_makes_no_network_is_refused(fields, words):
    with pytest.raises(BadInput, match=words):
        UNetSpec(**({"shape": (None, None, 1), "n_classes": 2} | fields))
