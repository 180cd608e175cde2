import json
from collections import Counter

import numpy as np
import onnx
import pytest

from unetrt.artifacts import KerasFile, OnnxModel
from unetrt.errors import UnsupportedModel

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("tensorflow")
    from unetrt import vendor

    return vendor.keras()


def nodes_of(path):
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def test_the_graph_is_one_node_a_layer_at_free_height_and_width(road):
    model = OnnxModel.load(road / "model.fp32.onnx")
    onnx.checker.check_model(onnx.load(model.path), full_check=True)
    assert nodes_of(model.path) == {
        "Conv": 11, "Relu": 10, "MaxPool": 2, "ConvTranspose": 2, "Concat": 2,
        "Transpose": 2, "Mul": 1, "Add": 1, "Softmax": 1,
    }  # fmt: skip
    assert model.inputs[0].shape == ("batch", "height", "width", 1)
    assert model.outputs[0].shape == ("batch", "height", "width", 2)
    assert (model.inputs[0].name, model.outputs[0].name) == ("image", "probabilities")
    assert model.size_multiple == 4
    assert model.classes == ("background", "disc")


def test_nodes_and_weights_carry_the_layers_names(road):
    graph = onnx.load(road / "model.fp32.onnx").graph
    names = {node.name for node in graph.node}
    assert {"down1_conv1", "down2_pool", "bottleneck_conv2", "up2_upconv", "logits"} <= names
    assert {"down1_conv1/kernel", "up1_upconv/bias"} <= {w.name for w in graph.initializer}


def test_the_file_itself_says_its_classes_and_where_it_comes_from(road):
    props = {p.key: p.value for p in onnx.load(road / "model.fp32.onnx").metadata_props}
    assert json.loads(props["unetrt.classes"]) == ["background", "disc"]
    assert props["unetrt.source_sha256"] == KerasFile.load(road / "model.keras").sha256


@pytest.mark.parametrize("size", [(1, 64, 64), (3, 32, 96)])
def test_onnx_agrees_with_keras_at_every_size(road, keras, size):
    from unetrt.builder import load_model
    from unetrt.runtime import open_session

    model, _ = load_model(road / "model.keras")
    x = np.random.default_rng(0).uniform(0, 255, (*size, 1)).astype(np.float32)
    expected = model.predict_on_batch(x)
    with open_session(road / "model.fp32.onnx") as session:
        np.testing.assert_allclose(session.run(x), expected, atol=1e-5)
    with open_session(road / "model.fp16.onnx") as session:
        np.testing.assert_allclose(session.run(x), expected, atol=2e-2)


@pytest.mark.slow
def test_the_article_s_network_has_no_stray_node(tmp_path, keras):
    from unetrt.builder import build_unet_model
    from unetrt.convert.to_onnx import export_onnx

    model = build_unet_model((None, None, 1), 2)
    export_onnx(model, tmp_path / "m.onnx", origin=KerasFile(tmp_path / "m.keras", "0" * 64))
    assert nodes_of(tmp_path / "m.onnx") == {
        "Conv": 23, "Relu": 22, "MaxPool": 5, "ConvTranspose": 5, "Concat": 5, "Transpose": 2,
        "Softmax": 1,
    }  # fmt: skip


def test_a_model_that_is_not_of_images_is_refused_and_leaves_no_file(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    dense = keras.Sequential([keras.Input((4,), name="features"), keras.layers.Dense(2)])
    with pytest.raises(UnsupportedModel, match=r"tensor 'features' has shape \(None, 4\)"):
        export_onnx(dense, tmp_path / "m.onnx", origin=KerasFile(tmp_path / "m.keras", "0"))
    assert not list(tmp_path.iterdir())


def test_a_model_of_two_outputs_is_refused(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    x = keras.Input((8, 8, 1))
    layers = keras.layers
    two = keras.Model(x, [layers.Conv2D(1, 1)(x), layers.Conv2D(2, 1)(x)], name="two")
    with pytest.raises(UnsupportedModel, match="'two': got 1 inputs and 2 outputs"):
        export_onnx(two, tmp_path / "m.onnx", origin=KerasFile(tmp_path / "m.keras", "0"))


def test_layers_of_keras_own_names_keep_them(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    keras.backend.clear_session()  # names count from the start
    x = inputs = keras.Input((16, 16, 1))
    for _ in range(3):
        x = keras.layers.Conv2D(2, 3, padding="same", activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Softmax()(x))
    names = [layer.name for layer in model.layers]
    export_onnx(model, tmp_path / "m.onnx", origin=KerasFile(tmp_path / "m.keras", "0"))
    graph = onnx.load(tmp_path / "m.onnx").graph
    convolutions = [node.name for node in graph.node if node.op_type == "Conv"]
    assert convolutions == names[1:4] == ["conv2d", "conv2d_1", "conv2d_2"]
    assert [layer.name for layer in model.layers] == names


def test_a_layer_that_holds_a_size_leaves_the_size_fixed(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    x = inputs = keras.Input((None, None, 1))
    x = keras.layers.UpSampling2D()(keras.layers.MaxPooling2D()(x))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="softmax")(x))
    made = export_onnx(model, tmp_path / "m.onnx", origin=KerasFile(tmp_path / "m.keras", "0"))
    assert made.inputs[0].shape == ("batch", 256, 256, 1)


def test_mixed_precision_is_refused(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    inputs = keras.Input((8, 8, 1))
    half = keras.Model(inputs, keras.layers.Conv2D(2, 1, dtype="mixed_float16")(inputs))
    with pytest.raises(UnsupportedModel, match="layers that compute in float16"):
        export_onnx(half, tmp_path / "m.onnx", origin=KerasFile(tmp_path / "m.keras", "0"))
