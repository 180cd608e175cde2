"""Sessions that average over mirrors and turns."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import unetrt
from unetrt.artifacts import OnnxModel
from unetrt.errors import ShapeError
from unetrt.runtime import SessionSpec, open_session
from unetrt.views import mean_over_views

pytestmark = pytest.mark.tf

TTA = SessionSpec(tta=True)


@pytest.fixture
def model(road):
    return OnnxModel.load(road / "model.fp32.onnx")


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (48, 64, 1)).astype(np.uint8)


def test_it_is_the_mean_over_eight_views(model, image):
    with open_session(model) as plain, open_session(model, TTA) as session:
        x = image[np.newaxis].astype(np.float32)
        expected = mean_over_views(plain.run, x)[0]
        found = session.probabilities(image)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        np.testing.assert_array_equal(session.segment(image), found.argmax(-1))
        assert np.abs(found - plain.probabilities(image)).max() > 1e-3
        np.testing.assert_array_equal(session.run(x), plain.run(x))
        assert session.info["tta"] == "mean over 8 views"
        assert "tta" not in plain.info


@pytest.mark.parametrize("turned", [np.flipud, np.fliplr, np.rot90])
def test_a_turned_image_has_turned_labels(model, image, turned):
    with open_session(model, TTA) as session:
        found = session.probabilities(np.ascontiguousarray(turned(image)))
        np.testing.assert_allclose(found, turned(session.probabilities(image)), atol=1e-5)


def test_a_network_of_fixed_sides_is_not_given_images_on_their_side(model):
    image = np.random.default_rng(0).random((32, 48, 1)).astype(np.float32)
    fixed = replace(model, inputs=(model.inputs[0].with_sides(32, 48),))
    with open_session(fixed, TTA) as session:
        assert session.info["tta"] == "mean over 4 views"
        upside_down = session.probabilities(np.ascontiguousarray(image[::-1]))
        np.testing.assert_allclose(upside_down[::-1], session.probabilities(image), atol=1e-6)


def test_labels_have_no_mean(model):
    labels = replace(model.outputs[0], name="labels", dtype="uint8", shape=("b", "h", "w"))
    with pytest.raises(ShapeError, match="gives no probabilities: got labels; convert"):
        open_session(replace(model, outputs=(labels,)), TTA)


def test_both_outputs_are_segmented_by_their_mean_probabilities(road, tmp_path, image):
    spec = unetrt.ExportSpec(outputs="both")
    both = unetrt.export(road / "model.keras", tmp_path / "both.onnx", spec)
    with open_session(both, TTA) as session, open_session(road / "model.fp32.onnx", TTA) as plain:
        np.testing.assert_array_equal(session.segment(image), plain.segment(image))


def test_predict_takes_it(model, tmp_path, image):
    Image.fromarray(image[:, :, 0]).save(tmp_path / "a.png")
    spec = unetrt.PredictSpec(session=TTA, overlays=False)
    summary = unetrt.predict(model, tmp_path / "a.png", tmp_path / "out", spec)
    assert summary.session["tta"] == "mean over 8 views"
    written = np.array(Image.open(tmp_path / "out" / "predictions" / "a.png"))
    with open_session(model, TTA) as session:
        np.testing.assert_array_equal(written, session.segment(image))
