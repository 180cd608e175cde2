"""Sizes are freed where the graph is the network's at every size, and only there."""

import numpy as np
import pytest

from tests.convert.graphs import agree, make, model_of, pixels, rand
from unetrt.convert.export import ExportSpec
from unetrt.sizes import SizeRule

pytestmark = pytest.mark.tf


def export(model, folder, size=(256, 256)):
    from unetrt.convert.to_onnx import export_onnx

    return export_onnx(model, folder / "m.onnx", ExportSpec(size=size))


def strided(keras, strides, side=None):
    x = inputs = keras.Input((side, side, 3), name="image")
    for stride in strides:
        x = keras.layers.Conv2D(4, 3, strides=stride, padding="same")(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("strides", [(2, 2), (3,), (2, 3)])
@pytest.mark.parametrize("size", [(256, 256), (250, 131)])
def test_strides_agree_at_every_size_they_divide_whatever_size_was_traced(
    keras, tmp_path, strides, size
):
    model = strided(keras, strides)
    made = export(model, tmp_path, size)
    assert made.inputs[0].shape == ("batch", "height", "width", 3)
    multiple = int(np.prod(strides))
    assert made.sizes == SizeRule(multiple)
    for rows, columns in ((3, 5), (8, 7)):
        image = pixels(1, rows * multiple, columns * multiple, 3) / 255
        agree(model, made, {"image": image})


def test_a_fixed_size_that_the_strides_do_not_divide_stays(keras, tmp_path):
    model = strided(keras, (2, 2, 2), side=100)
    made = export(model, tmp_path)
    assert made.inputs[0].shape == ("batch", 100, 100, 3)
    assert made.sizes == SizeRule()
    agree(model, made, {"image": pixels(1, 100, 100, 3) / 255})


def test_a_layer_that_makes_a_number_of_the_size_keeps_it(keras, tmp_path):
    class Scaled(keras.layers.Layer):
        def call(self, x):
            return x * (x.shape[1] or 1)

        def compute_output_shape(self, shape):
            return shape

    inputs = keras.Input((None, None, 3), name="image")
    model = keras.Model(inputs, Scaled()(keras.layers.Conv2D(2, 1)(inputs)))
    made = export(model, tmp_path, (64, 64))
    assert made.inputs[0].shape == ("batch", 64, 64, 3)
    agree(model, made, {"image": pixels(1, 64, 64, 3) / 255}, atol=1e-3)


def test_a_layer_that_takes_one_size_only_keeps_it(keras, tmp_path):
    class Position(keras.layers.Layer):
        def build(self, _shape):
            self.where = self.add_weight(shape=(1, 4, 4, 2), initializer="random_normal")

        def call(self, x):
            return x + self.where

        def compute_output_shape(self, shape):
            return shape

    inputs = keras.Input((None, None, 3), name="image")
    model = keras.Model(inputs, Position()(keras.layers.Conv2D(2, 16, strides=16)(inputs)))
    made = export(model, tmp_path, (64, 64))
    assert made.inputs[0].shape == ("batch", 64, 64, 3)


def test_an_output_that_is_no_image_names_its_side(keras, tmp_path):
    inputs = keras.Input((64, 64, 3), name="image")
    model = keras.Model(inputs, keras.ops.mean(inputs, axis=1))
    made = export(model, tmp_path)
    assert made.inputs[0].shape == ("batch", 64, 64, 3)
    assert made.outputs[0].shape == ("batch", 64, 3)


def test_a_mean_that_is_an_output_too_keeps_its_shape(keras, tmp_path):
    inputs = keras.Input((32, 32, 8), name="image")
    mean = keras.layers.GlobalAveragePooling2D(name="mean")(inputs)
    scaled = keras.layers.Multiply(name="scaled")([inputs, keras.layers.Reshape((1, 1, 8))(mean)])
    model = keras.Model(inputs, [mean, scaled])
    made = export(model, tmp_path)
    assert made.outputs[0].shape == ("batch", 8)
    agree(model, made, {"image": pixels(2, 32, 32, 8) / 255})


def test_a_subclass_of_up_sampling_is_traced_as_it_is(keras, tmp_path):
    class Twice(keras.layers.UpSampling2D):
        def call(self, x):
            return super().call(x) * 2

    inputs = keras.Input((16, 16, 3), name="image")
    model = keras.Model(inputs, Twice()(inputs))
    agree(model, export(model, tmp_path), {"image": pixels(1, 16, 16, 3)})


def test_any_name_of_an_input_will_do(keras, tmp_path):
    inputs = keras.Input((16, 16, 3), name="w0")
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    agree(model, export(model, tmp_path), {"w0": pixels(1, 16, 16, 3) / 255})


POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}


@pytest.fixture
def size_rule(keras):
    from unetrt.convert.dynamic_sizes import size_rule

    return size_rule


def chain(*nodes, constants=None, sides=("height", "width"), out=("h", "w")):
    """Return the NCHW nodes, from x to y, between NHWC edges."""
    nodes = [
        make("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2]),
        *nodes,
        make("Transpose", ["y"], ["out"], perm=[0, 2, 3, 1]),
    ]
    shapes = {"image": ["batch", *sides, 1]}, {"out": ["batch", *out, 1]}
    return model_of(nodes, *shapes, constants)


def test_two_poolings_make_it_four_whatever_comes_back(size_rule):
    nodes = [
        make("MaxPool", ["x"], ["a"], **POOL),
        make("MaxPool", ["a"], ["b"], **POOL),
        make("ConvTranspose", ["b", "w"], ["y"], strides=[4, 4]),
    ]
    assert size_rule(chain(*nodes, constants={"w": rand(1, 1, 4, 4)})) == SizeRule(4)


@pytest.mark.parametrize("way", ["resize", "transposed"])
def test_a_second_hourglass_does_not_multiply_the_first(size_rule, way):
    up = {
        "resize": ["Resize", ["a", "", "scales"]],
        "transposed": ["ConvTranspose", ["a", "w"]],
    }[way]
    nodes = [
        make("MaxPool", ["x"], ["a"], **POOL),
        make(*up, ["b"], **({"strides": [2, 2]} if way == "transposed" else {})),
        make("MaxPool", ["b"], ["y"], **POOL),
    ]
    constants = {"scales": np.array([1, 1, 2, 2], np.float32), "w": rand(1, 1, 2, 2)}
    used = "scales" if way == "resize" else "w"
    assert size_rule(chain(*nodes, constants={used: constants[used]})) == SizeRule(2)


def test_paths_of_different_strides_meet_in_their_common_multiple(size_rule):
    nodes = [
        make("MaxPool", ["x"], ["a"], kernel_shape=[2, 3], strides=[2, 3]),
        make("Relu", ["a"], ["y"]),
    ]
    assert size_rule(chain(*nodes)) == SizeRule(6)


@pytest.mark.parametrize(
    ("kernel", "rule"),
    [
        ((4, 4), SizeRule(2, 1, 2)),  # with what the pooling drops, two pixels at each edge
        ((5, 5), SizeRule(2)),  # an odd loss has no middle
        ((4, 6), SizeRule(2)),  # the sides do not lose alike
    ],
)
def test_an_output_that_is_smaller_at_the_image_s_scale_has_a_margin(size_rule, kernel, rule):
    nodes = [
        make("MaxPool", ["x"], ["a"], **POOL),
        make("ConvTranspose", ["a", "w"], ["b"], strides=[2, 2]),
        make("Conv", ["b", "k"], ["y"]),
    ]
    graph = chain(
        *nodes,
        constants={"w": rand(1, 1, 2, 2), "k": rand(1, 1, *kernel)},
        sides=(21, 29),
        out=(21 - kernel[0], 29 - kernel[1]),
    )
    assert size_rule(graph) == rule


def test_an_output_at_half_the_scale_has_no_margin(size_rule):
    graph = chain(make("MaxPool", ["x"], ["y"], **POOL), sides=(64, 64), out=(32, 32))
    assert size_rule(graph) == SizeRule(2)
