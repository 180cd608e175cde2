"""Export Keras models: the graph, its names, types and sizes, and Keras' own outputs."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

from tests.convert.graphs import agree, nodes_of, pixels
from unetrt.artifacts import KerasFile, OnnxModel
from unetrt.convert.export import ExportSpec
from unetrt.errors import BadInput, UnsupportedModel
from unetrt.golden import GoldenOutput
from unetrt.runtime import SessionSpec, open_session
from unetrt.sizes import SizeRule

pytestmark = pytest.mark.tf


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
    assert model.sizes == SizeRule(4)
    assert model.classes == ("background", "disc")


def test_nodes_and_weights_carry_the_layers_names(road):
    graph = onnx.load(road / "model.fp32.onnx").graph
    names = {node.name for node in graph.node}
    assert {"down1/conv1", "down2/pool", "bottleneck/conv2", "up2/upconv", "logits"} <= names
    assert {"down1/conv1/kernel", "up1/upconv/bias"} <= {w.name for w in graph.initializer}


def test_the_file_itself_says_its_classes_and_where_it_comes_from(road):
    props = {p.key: p.value for p in onnx.load(road / "model.fp32.onnx").metadata_props}
    assert json.loads(props["unetrt.classes"]) == ["background", "disc"]
    assert (
        json.loads(props["unetrt.source"])["sha256"] == KerasFile.load(road / "model.keras").sha256
    )
    assert json.loads(props["unetrt.made_with"])["spec"]["layout"] == "NHWC"
    assert len(json.loads(props["unetrt.made_with"])["weights_sha256"]) == 64
    assert json.loads(props["unetrt.normalization"])[0]["layer"] == "normalize"
    assert "unetrt" in json.loads(props["unetrt.training"])
    half = {p.key: p.value for p in onnx.load(road / "model.fp16.onnx").metadata_props}
    assert half["unetrt.precision"] == "fp16"


@pytest.mark.parametrize("size", [(1, 64, 64), (3, 32, 96)])
def test_onnx_agrees_with_keras_at_every_size(road, keras, size):
    from unetrt.keras_models import load_model
    from unetrt.runtime import open_session

    model, _ = load_model(road / "model.keras")
    x = np.random.default_rng(0).uniform(0, 255, (*size, 1)).astype(np.float32)
    expected = model.predict_on_batch(x)
    with open_session(road / "model.fp32.onnx") as session:
        np.testing.assert_allclose(session.run(x), expected, atol=1e-5)
    with open_session(road / "model.fp16.onnx") as session:
        np.testing.assert_allclose(session.run(x), expected, atol=2e-2)


def test_the_article_s_network_has_no_stray_node(tmp_path, keras):
    from unetrt.builder import build_unet_model
    from unetrt.convert.to_onnx import export_onnx

    model = build_unet_model((None, None, 1), 2)
    export_onnx(model, tmp_path / "m.onnx", origin=KerasFile(tmp_path / "m.keras", "0" * 64))
    assert nodes_of(tmp_path / "m.onnx") == {
        "Conv": 23, "Relu": 22, "MaxPool": 5, "ConvTranspose": 5, "Concat": 5, "Transpose": 2,
        "Softmax": 1,
    }  # fmt: skip


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


def test_up_sampling_is_one_node_of_free_size(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    x = inputs = keras.Input((None, None, 1))
    x = keras.layers.UpSampling2D((2, 3))(keras.layers.MaxPooling2D((2, 3))(x))
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(keras.layers.MaxPooling2D()(x))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="softmax")(x))
    made = export_onnx(model, tmp_path / "m.onnx", ExportSpec(size=(96, 96)))
    assert nodes_of(made.path)["Resize"] == 2
    assert made.inputs[0].shape == ("batch", "height", "width", 1)
    agree(model, made, {made.inputs[0].name: pixels(2, 24, 36, 1) / 255})
    assert model.layers[2].call.__self__ is model.layers[2]  # as it was


def test_a_model_of_one_size_is_asked_at_that_size(tmp_path, keras):
    from unetrt.builder import UNetSpec, build_unet
    from unetrt.convert.to_onnx import export_onnx

    spec = UNetSpec(shape=(32, 48, 1), n_classes=2, filters=(4, 8), bottleneck=8)
    golden = export_onnx(build_unet(spec), tmp_path / "m.onnx").golden
    assert (golden.height, golden.width) == (32, 48)


def test_a_layer_that_holds_a_size_leaves_the_size_fixed(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    x = inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(3, 3, strides=2, padding="same")(x)
    x = keras.layers.Resizing(24, 40)(x)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, activation="softmax")(x))
    made = export_onnx(model, tmp_path / "m.onnx", ExportSpec(size=(48, 80)))
    assert made.inputs[0].shape == ("batch", 48, 80, 1)
    assert made.sizes == SizeRule()
    agree(model, made, {made.inputs[0].name: pixels(1, 48, 80, 1) / 255})


def test_a_second_trace_frees_what_the_kinds_of_nodes_do_not_prove(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    x = inputs = keras.Input((None, None, 3))
    scale = keras.layers.GlobalAveragePooling2D()(x)
    scale = keras.layers.Dense(3, activation="sigmoid")(scale)
    x = keras.layers.Multiply()([x, keras.layers.Reshape((1, 1, 3))(scale)])
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))
    made = export_onnx(model, tmp_path / "m.onnx", ExportSpec(size=(64, 64)))
    assert "Gemm" in nodes_of(made.path) or "MatMul" in nodes_of(made.path)
    assert made.inputs[0].shape == ("batch", "height", "width", 3)
    agree(model, made, {made.inputs[0].name: pixels(2, 30, 50, 3) / 255})


def test_mixed_precision_is_written_in_float32_and_left_as_it_was(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    inputs = keras.Input((8, 8, 1))
    half = keras.layers.Conv2D(2, 1, dtype="mixed_float16", name="half")
    model = keras.Model(inputs, half(inputs))
    made = export_onnx(model, tmp_path / "m.onnx")
    assert half.compute_dtype == "float16"
    assert half.name == "half"
    assert "Cast" not in nodes_of(made.path)
    agree(model, made, {made.inputs[0].name: pixels(1, 8, 8, 1) / 255}, atol=2e-3)


def test_weights_in_half_precision_are_refused(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, dtype="float16", name="half")(inputs))
    with pytest.raises(UnsupportedModel, match="weights half/kernel in float16, expected float32"):
        export_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_a_layer_without_an_onnx_equivalent_is_named(tmp_path, keras):
    import tensorflow as tf

    from unetrt.convert.to_onnx import export_onnx

    class Odd(keras.layers.Layer):
        def call(self, x):
            return tf.raw_ops.Lgamma(x=x)

    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, Odd(name="odd_one")(inputs), name="m")
    with pytest.raises(UnsupportedModel, match="equivalent: Lgamma in odd_one"):
        export_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_the_exact_gelu_converts(tmp_path, keras):
    from unetrt.convert.to_onnx import export_onnx

    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Activation("gelu")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))
    made = export_onnx(model, tmp_path / "m.onnx")
    x = (pixels(1, 8, 8, 1) - 128) / 20
    agree(model, made, {made.inputs[0].name: x})


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("outputs", ["probabilities", "labels", "both"])
def test_the_edges_are_as_asked(road, keras, tmp_path, layout, outputs):
    from unetrt.convert.to_onnx import export_onnx
    from unetrt.keras_models import load_model
    from unetrt.runtime import open_session

    model, file = load_model(road / "model.keras")
    spec = ExportSpec(layout=layout, outputs=outputs, pixels="uint8")
    made = export_onnx(model, tmp_path / "m.onnx", spec, origin=file)
    assert nodes_of(made.path).get("Transpose", 0) <= (2 if layout == "NHWC" else 0)
    image = pixels(32, 48, 1).astype(np.uint8)
    expected = model.predict_on_batch(image[np.newaxis].astype(np.float32))
    with open_session(made.path) as session:
        assert session.inputs[0].dtype == "uint8"
        np.testing.assert_array_equal(session.segment(image), expected[0].argmax(axis=-1))
    names = {"probabilities": ["probabilities"], "labels": ["labels"]}
    wanted = names.get(outputs, ["probabilities", "labels"])
    assert [tensor.name for tensor in made.outputs] == wanted
    assert made.outputs[-1].dtype == ("float32" if outputs == "probabilities" else "uint8")


@pytest.mark.parametrize("opset", [17, 18, 20, 23])
def test_every_opset_gives_the_same_outputs(road, keras, tmp_path, opset):
    from unetrt.convert.to_onnx import export_onnx
    from unetrt.keras_models import load_model

    model, file = load_model(road / "model.keras")
    made = export_onnx(model, tmp_path / "m.onnx", ExportSpec(opset=opset), origin=file)
    proto = onnx.load(made.path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version == opset
    assert nodes_of(made.path) == nodes_of(road / "model.fp32.onnx")
    agree(model, made, {"image": pixels(1, 32, 32, 1)})


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"opset": 16}, "got 16, expected 17 to 23"),
        ({"layout": "CHW"}, "no such `layout` to export: got CHW, expected one of NHWC, NCHW"),
        ({"pixels": "int8"}, "no such `pixels` to export: got int8"),
        ({"outputs": "logits"}, "no such `outputs` to export: got logits"),
        ({"size": (0, 8)}, "expected positive sides"),
    ],
)
def test_an_unknown_choice_is_bad_input(choice, words):
    with pytest.raises(BadInput, match=words):
        ExportSpec(**choice)


SELF_TEST = SessionSpec(backend="onnxruntime", self_test=True)


@pytest.fixture
def export(tmp_path):
    from unetrt.convert.to_onnx import export_onnx

    return lambda model, **words: export_onnx(model, tmp_path / "m.onnx", **words)


def small(keras, **changes):
    from unetrt.builder import UNetSpec, build_unet

    keras.utils.set_random_seed(0)
    spec = UNetSpec(shape=(None, None, 1), n_classes=3, filters=(4, 8), bottleneck=8)
    return build_unet(replace(spec, **changes))


def test_the_golden_sample_holds_the_model_s_own_output(keras, export):
    model = small(keras)
    onnx = export(model)
    golden = onnx.golden
    picture = golden.feed(onnx.inputs[0].name, "float32")
    assert (picture.shape, golden.scale) == ((1, 16, 16, 1), 1 / 256)
    said = GoldenOutput.sample(model.predict_on_batch(picture))
    (answer,) = golden.outputs.values()
    np.testing.assert_allclose(answer.values.array, said.values.array, atol=1e-6)
    assert open_session(onnx, SELF_TEST).self_test().max_abs_diff < 1e-5


@pytest.mark.parametrize(
    ("changes", "side"),
    [
        ({"padding": "valid", "upsampling_kernel": 2}, None),
        ({"shape": (48, 32, 3)}, 48),
        ({"dtype_policy": "mixed_float16"}, 16),
        ({"n_classes": 2, "head": "sigmoid"}, 16),
    ],
)
def test_other_networks_have_a_golden_sample_too(keras, export, changes, side):
    onnx = export(small(keras, **changes))
    assert onnx.golden.height == side or (side is None and onnx.sizes.margin > 0)
    with open_session(onnx, SELF_TEST) as session:
        assert session.self_test().max_abs_diff < 1e-5


def test_a_saved_model_has_a_golden_sample_too(keras, export, tmp_path):
    from unetrt.convert.saved_model import read_saved_model

    small(keras).export(tmp_path / "saved", verbose=False)
    source, _ = read_saved_model(tmp_path / "saved")
    with open_session(export(source), SELF_TEST) as session:
        assert session.self_test().max_abs_diff < 1e-5


def test_a_golden_sample_of_several_images_in_and_out(keras, export):
    one, other = (keras.Input((None, None, n), name=f"in{n}") for n in (1, 2))
    both = keras.layers.Concatenate()([one, other])
    made = [keras.layers.Conv2D(2, 3, padding="same", name=f"out{k}")(both) for k in range(2)]
    onnx = export(keras.Model([one, other], made))
    assert set(onnx.golden.grids) == {"in1", "in2"}
    assert set(onnx.golden.outputs) == {"out0", "out1"}
    with open_session(onnx, SELF_TEST) as session:
        assert session.self_test().max_abs_diff < 1e-4


def test_golden_pixels_go_to_255_for_whole_numbers_and_networks_that_normalise(keras, export):
    assert export(small(keras), spec=ExportSpec(pixels="uint8")).golden.scale == 1
    assert export(small(keras, pixel_mean=99.0, pixel_std=50.0)).golden.scale == 1


def test_a_network_of_more_than_images_has_no_golden_sample(keras, export):
    image, number = keras.Input((None, None, 1), name="image"), keras.Input((4,), name="number")
    shift = keras.layers.Reshape((1, 1, 4))(keras.layers.Dense(4)(number))
    made = keras.layers.Add()([keras.layers.Conv2D(4, 3, padding="same")(image), shift])
    assert export(keras.Model([image, number], made)).golden is None


def test_outputs_that_are_not_finite_make_no_golden_sample(keras, export):
    image = keras.Input((None, None, 1))
    made = keras.layers.Conv2D(2, 1, kernel_initializer=keras.initializers.Constant(np.nan))(image)
    assert export(keras.Model(image, made)).golden is None


def test_golden_samples_of_labels_and_bytes_are_mapped(keras, export):
    spec = ExportSpec(pixels="uint8", outputs="labels", layout="NCHW")
    for changes in ({}, {"n_classes": 2, "head": "sigmoid"}):
        onnx = export(small(keras, **changes), spec=spec)
        with open_session(onnx, SELF_TEST) as session:
            assert session.self_test().labels_that_differ == 0
