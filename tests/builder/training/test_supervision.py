import numpy as np
import pytest

from unetrt.errors import BadInput

pytestmark = pytest.mark.tf

PADDED = {"filters": (4, 8, 8), "bottleneck": 8}
UNPADDED = {"filters": (2, 2, 2, 2), "bottleneck": 2, "padding": "valid", "upsampling_kernel": 2}


def unet(**fields):
    from unetrt.builder import UNetSpec, build_unet

    spec = UNetSpec(shape=(None, None, 1), n_classes=3, **fields)
    return build_unet(spec), spec


def supervised(fields, heads, label_side):
    from unetrt.builder.training_model import supervised

    model, spec = unet(**fields)
    image_side = spec.sizes.covering(label_side)
    trained, scales = supervised(
        model, heads, image_side=image_side, label_side=label_side, sigmoid=spec.head == "sigmoid"
    )
    return model, trained, scales, image_side


def test_a_padded_network_answers_at_half_and_quarter_scale(keras):
    model, trained, scales, _ = supervised(PADDED, 2, 32)
    assert [tuple(shape[1:]) for shape in trained.compute_output_shape((1, 32, 32, 1))] == [
        (32, 32, 3),
        (16, 16, 3),
        (8, 8, 3),
    ]
    assert [(scale.step, scale.side) for scale in scales] == [(2, 16), (4, 8)]
    assert len(model.outputs) == 1
    assert len(trained.weights) == len(model.weights) + 4  # a kernel and a bias for each head
    assert {"supervision2", "supervision3"} <= {layer.name for layer in trained.layers}


def test_labels_are_taken_at_the_nearest_pixel(keras):
    _, _, (half, quarter), _ = supervised(PADDED, 2, 32)
    labels = np.arange(32)[np.newaxis, :, np.newaxis] * np.ones((1, 1, 32), int)
    assert half.of(labels).shape == (1, 16, 16)
    assert half.of(labels)[0, :3, 0].tolist() == [1, 3, 5]
    assert quarter.of(labels)[0, :3, 0].tolist() == [2, 6, 10]


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_an_unpadded_network_is_judged_only_where_there_are_labels(keras, heads):
    _, trained, scales, image_side = supervised(UNPADDED, heads, 388)
    assert image_side == 572
    shapes = trained.compute_output_shape((1, 572, 572, 1))
    assert shapes[0][1:3] == (388, 388)
    for shape, scale in zip(shapes[1:], scales, strict=True):
        assert shape[1:3] == (scale.side, scale.side)
        first, last = scale.offset - scale.step / 2, scale.offset + scale.step * (scale.side - 0.5)
        assert 0 <= first < scale.step
        assert first == 388 - last  # as far from one edge as from the other
    assert scales[0].side == 194


def test_a_sigmoid_head_has_sigmoid_helpers(keras):
    _, trained, _, _ = supervised({**PADDED, "head": "sigmoid"}, 1, 32)
    answers = trained.predict_on_batch(np.zeros((1, 32, 32, 1), np.float32))
    assert answers[1].sum(axis=-1).max() > 1.01


def test_each_head_weighs_half_of_the_one_above(keras):
    from unetrt.builder.training_model import loss_weights

    assert loss_weights(0) == [1]
    assert loss_weights(2) == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_no_heads_leave_the_model_as_it_is(keras):
    model, trained, scales, _ = supervised(PADDED, 0, 32)
    assert scales == ()
    assert trained.output_shape == model.output_shape


def test_a_model_without_such_blocks_is_refused(keras):
    from unetrt.builder.training_model import supervised

    with pytest.raises(BadInput, match=r"got a model with up3, up2, up1, expected a block .* up4"):
        supervised(unet(**PADDED)[0], 3, image_side=32, label_side=32, sigmoid=False)
    plain = keras.Sequential([keras.Input((None, None, 1)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(BadInput, match="no block named up1, up2"):
        supervised(plain, 1, image_side=32, label_side=32, sigmoid=False)


def test_a_block_of_another_scale_is_refused(keras):
    from unetrt.builder.training_model import supervised

    x = keras.Input((None, None, 1))
    y = keras.layers.Conv2D(2, 1, name="up2")(x)
    model = keras.Model(x, keras.layers.Softmax()(y), name="flat")
    with pytest.raises(BadInput, match="one pixel for 2"):
        supervised(model, 1, image_side=32, label_side=32, sigmoid=False)
