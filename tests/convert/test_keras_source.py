"""Trace every kind of Keras model: its inputs and outputs by name, and the same outputs."""

import numpy as np
import pytest

from tests.convert.graphs import agree, nodes_of, pixels
from unetrt.errors import UnsupportedModel

pytestmark = pytest.mark.tf


def export(model, folder):
    from unetrt.convert.to_onnx import export_onnx

    return export_onnx(model, folder / "m.onnx")


def names(tensors):
    return [tensor.name for tensor in tensors]


def test_several_inputs_and_outputs_by_name(two_headed, tmp_path):
    made = export(two_headed, tmp_path)
    assert set(names(made.inputs)) == {"image", "m"}
    assert names(made.outputs) == ["edge", "seg"]
    assert made.inputs[0].shape[1:3] == ("height", "width")
    agree(two_headed, made, {"image": pixels(2, 9, 12, 1), "m": pixels(2, 9, 12, 2)}, atol=1e-3)


def test_a_layer_inside_a_model_is_named_by_its_path(two_headed, tmp_path):
    import onnx

    made = export(two_headed, tmp_path)
    nodes = {node.name for node in onnx.load(made.path).graph.node}
    assert {"encoder/conv", "seg_head", "edge_head"} <= nodes


def test_a_sequential_model(keras, tmp_path):
    model = keras.Sequential(
        [keras.Input((None, None, 3), name="rgb"), keras.layers.Conv2D(2, 3, name="last")]
    )
    made = export(model, tmp_path)
    assert (names(made.inputs), names(made.outputs)) == (["rgb"], ["last"])
    agree(model, made, {"rgb": pixels(1, 8, 10, 3)}, atol=1e-3)


def test_a_subclassed_model_with_a_dict_of_outputs(keras, tmp_path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.first = keras.layers.Conv2D(4, 3, padding="same", name="first")
            self.rest = [keras.layers.Conv2D(2, 1, name="second")]

        def call(self, x):  # no `training`
            x = self.first(x)
            for layer in self.rest:
                x = layer(x)
            return {"p": x, "twice": x * 2}

    model = Net()
    model(np.zeros((1, 8, 8, 1), np.float32))
    made = export(model, tmp_path)
    assert (names(made.inputs), names(made.outputs)) == (["input"], ["p", "twice"])
    agree(model, made, {"input": pixels(3, 8, 8, 1)}, atol=1e-3)


def test_a_subclassed_model_with_a_dict_of_inputs(keras, tmp_path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="net")
            self.conv = keras.layers.Conv2D(2, 3, padding="same")

        def call(self, given, *, training=False):  # noqa: ARG002
            return self.conv(given["u"]) - self.conv(given["v"])

    model = Net()
    model({name: np.zeros((1, 8, 8, 1), np.float32) for name in "uv"})
    made = export(model, tmp_path)
    assert (names(made.inputs), names(made.outputs)) == (["u", "v"], ["output"])
    agree(model, made, {"u": pixels(1, 8, 8, 1), "v": pixels(1, 8, 8, 1) / 2}, atol=1e-3)


def test_a_model_of_features_not_images(keras, tmp_path):
    model = keras.Sequential([keras.Input((4,), name="features"), keras.layers.Dense(2)])
    made = export(model, tmp_path)
    assert made.inputs[0].shape == ("batch", 4)
    agree(model, made, {"features": pixels(5, 4)}, atol=1e-3)


def test_two_outputs_of_one_layer_have_two_names(keras, tmp_path):
    inputs = keras.Input((8, 8, 1))
    conv = keras.layers.Conv2D(1, 1, name="conv")
    first = conv(inputs)
    model = keras.Model(inputs, [first, conv(first)])
    assert names(export(model, tmp_path).outputs) == ["conv", "conv_2"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda k: k.Sequential([k.layers.Conv2D(2, 1)], name="s"),
            "'s': got a model that was never",
        ),
        (
            lambda k: k.Sequential([k.Input((None, 3), name="t"), k.layers.Dense(2)]),
            r"input 't' of shape \(None, None, 3\)",
        ),
    ],
)
def test_what_cannot_be_called_is_refused_and_leaves_no_file(keras, tmp_path, make, words):
    with pytest.raises(UnsupportedModel, match=words):
        export(make(keras), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_article_s_block_has_one_node_a_layer_whatever_the_layout(keras, tmp_path):
    from unetrt.builder import UNetSpec, build_unet
    from unetrt.convert.export import ExportSpec
    from unetrt.convert.to_onnx import export_onnx

    spec = UNetSpec(shape=(None, None, 1), n_classes=2, filters=(2, 4), bottleneck=8)
    made = export_onnx(build_unet(spec), tmp_path / "m.onnx", ExportSpec(layout="NCHW"))
    nodes = nodes_of(made.path)
    assert "Transpose" not in nodes
    assert (nodes["Conv"], nodes["ConvTranspose"], nodes["Concat"]) == (11, 2, 2)


def test_a_layer_that_cannot_be_traced_is_named_with_its_reason(keras, tmp_path):
    class Branch(keras.layers.Layer):
        def call(self, x):
            return x + 1 if keras.ops.sum(x) > 0 else x

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, Branch(name="branch")(inputs))
    with pytest.raises(UnsupportedModel, match=r"calling Branch\.call\(\)\..*symbolic"):
        export(model, tmp_path)


def test_channels_first_is_refused_by_the_layer_s_name(keras, tmp_path):
    inputs = keras.Input((3, 16, 24))
    up = keras.layers.UpSampling2D(data_format="channels_first", name="up")
    with pytest.raises(UnsupportedModel, match="layer 'up' with data_format 'channels_first'"):
        export(keras.Model(inputs, up(inputs)), tmp_path)


def test_the_layers_that_normalise_are_those_that_come_first(keras, tmp_path):
    import json

    import onnx

    x = inputs = keras.Input((16, 16, 1))
    x = keras.layers.Rescaling(1 / 255, name="to_one")(x)
    x = keras.layers.Normalization(mean=0.5, variance=0.25, name="to_unit")(x)
    x = keras.layers.Rescaling(0.1, name="inside")(keras.layers.Conv2D(2, 1)(x))
    made = export(keras.Model(inputs, x), tmp_path)
    props = {p.key: p.value for p in onnx.load(made.path).metadata_props}
    layers = json.loads(props["unetrt.normalization"])
    assert [layer["layer"] for layer in layers] == ["to_one", "to_unit"]
    assert layers[1]["mean"] == [0.5]
