"""The golden answer is the Keras model's own, whatever kind of model it is."""

from dataclasses import replace

import numpy as np
import pytest

from unetrt.golden import Answer
from unetrt.runtime import SessionSpec, open_session

pytestmark = pytest.mark.tf

SELF_TEST = SessionSpec(backend="onnxruntime", self_test=True)


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("tensorflow")
    from unetrt import vendor

    return vendor.keras()


@pytest.fixture
def export(tmp_path):
    from unetrt.convert.to_onnx import export_onnx

    return lambda model, **words: export_onnx(model, tmp_path / "m.onnx", **words)


def small(keras, **changes):
    from unetrt.builder import UNetSpec, build_unet

    keras.utils.set_random_seed(0)
    spec = UNetSpec(shape=(None, None, 1), n_classes=3, filters=(4, 8), bottleneck=8)
    return build_unet(replace(spec, **changes))


def test_it_is_what_the_model_says(keras, export):
    model = small(keras)
    onnx = export(model)
    golden = onnx.golden
    picture = golden.feed(onnx.inputs[0].name, "float32")
    assert (picture.shape, golden.scale) == ((1, 16, 16, 1), 1 / 256)
    said = Answer.thinned(model.predict_on_batch(picture))
    (answer,) = golden.answers.values()
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
def test_other_networks_have_one_too(keras, export, changes, side):
    onnx = export(small(keras, **changes))
    assert onnx.golden.height == side or (side is None and onnx.sizes.margin > 0)
    with open_session(onnx, SELF_TEST) as session:
        assert session.self_test().max_abs_diff < 1e-5


def test_a_saved_model_has_one_too(keras, export, tmp_path):
    from unetrt.convert.saved_model import read_saved_model

    small(keras).export(tmp_path / "saved", verbose=False)
    source, _ = read_saved_model(tmp_path / "saved")
    with open_session(export(source), SELF_TEST) as session:
        assert session.self_test().max_abs_diff < 1e-5


def test_several_images_in_and_out(keras, export):
    one, other = (keras.Input((None, None, n), name=f"in{n}") for n in (1, 2))
    both = keras.layers.Concatenate()([one, other])
    made = [keras.layers.Conv2D(2, 3, padding="same", name=f"out{k}")(both) for k in range(2)]
    onnx = export(keras.Model([one, other], made))
    assert set(onnx.golden.grids) == {"in1", "in2"}
    assert set(onnx.golden.answers) == {"out0", "out1"}
    with open_session(onnx, SELF_TEST) as session:
        assert session.self_test().max_abs_diff < 1e-4


def test_whole_numbers_and_networks_that_normalise_get_255(keras, export):
    from unetrt.convert.export_spec import ExportSpec

    assert export(small(keras), spec=ExportSpec(pixels="uint8")).golden.scale == 1
    assert export(small(keras, pixel_mean=99.0, pixel_std=50.0)).golden.scale == 1


def test_what_takes_more_than_images_has_none(keras, export):
    image, number = keras.Input((None, None, 1), name="image"), keras.Input((4,), name="number")
    shift = keras.layers.Reshape((1, 1, 4))(keras.layers.Dense(4)(number))
    made = keras.layers.Add()([keras.layers.Conv2D(4, 3, padding="same")(image), shift])
    assert export(keras.Model([image, number], made)).golden is None


def test_what_is_not_finite_is_not_kept(keras, export):
    image = keras.Input((None, None, 1))
    made = keras.layers.Conv2D(2, 1, kernel_initializer=keras.initializers.Constant(np.nan))(image)
    assert export(keras.Model(image, made)).golden is None


def test_labels_alone_and_bytes_are_mapped(keras, export):
    from unetrt.convert.export_spec import ExportSpec

    spec = ExportSpec(pixels="uint8", answer="labels", layout="NCHW")
    for changes in ({}, {"n_classes": 2, "head": "sigmoid"}):
        onnx = export(small(keras, **changes), spec=spec)
        with open_session(onnx, SELF_TEST) as session:
            assert session.self_test().labels_that_differ == 0
