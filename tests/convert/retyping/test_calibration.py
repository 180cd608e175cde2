"""Which images a network can be calibrated with, and how they are brought to its size."""

from pathlib import Path

import numpy as np
import pytest

from unetrt.artifacts import OnnxModel
from unetrt.convert import calibration
from unetrt.convert.calibration import clips, feeds_of
from unetrt.errors import DataError, ShapeError
from unetrt.sizes import SizeRule
from unetrt.tensors import TensorSpec

FREE = ("batch", "height", "width", 3)


def model(*shapes, dtype="float32", layout="NHWC", multiple=4):
    inputs = tuple(TensorSpec(f"x{k}", dtype, shape) for k, shape in enumerate(shapes))
    return OnnxModel(
        path=Path("net.onnx"), sha256="", inputs=inputs, layout=layout, sizes=SizeRule(multiple)
    )


def image(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def test_images_are_mirrored_out_to_what_the_network_halves():
    (feed,) = feeds_of(model(FREE), [image(9, 6, 3)], 8)
    assert feed["x0"].shape == (1, 12, 8, 3)
    assert feed["x0"].dtype == np.float32
    np.testing.assert_array_equal(feed["x0"][0, :9, :6], image(9, 6, 3))


def test_a_fixed_size_gets_the_middle_of_a_larger_image_and_a_fixed_batch_is_filled():
    fixed = model((2, 8, 16, 3), dtype="uint8")
    (feed,) = feeds_of(fixed, [image(20, 8, 3)], 8)
    assert feed["x0"].shape == (2, 8, 16, 3)
    assert feed["x0"].dtype == np.uint8
    np.testing.assert_array_equal(feed["x0"][1, :, :8], image(20, 8, 3)[6:14])


def test_an_nchw_network_gets_nchw():
    (feed,) = feeds_of(model(("b", 3, "h", "w"), layout="NCHW"), [image(8, 4, 3)], 8)
    np.testing.assert_array_equal(feed["x0"][0].transpose(1, 2, 0), image(8, 4, 3))


def test_a_very_large_image_is_cut_to_its_middle(monkeypatch):
    monkeypatch.setattr(calibration, "_MOST_SIDE", 10)
    (feed,) = feeds_of(model(FREE), [image(40, 6, 3)], 8)
    assert feed["x0"].shape == (1, 8, 8, 3)


def test_at_most_so_many_are_drawn_evenly(discs):
    drawn = feeds_of(model(FREE), [np.full((4, 4, 3), k, np.uint8) for k in range(10)], 5)
    assert [int(feed["x0"].max()) for feed in drawn] == [0, 2, 4, 6, 8]
    grey = model(("batch", "height", "width", 1))
    assert len(feeds_of(grey, discs, 100)) == len(discs.train)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "There are no calibration images: expected at least one"),
        (
            [image(8, 8, 1)],
            r"does not fit net.onnx: got shape \[8, 8, 1\], expected \[height, w.* 3\]",
        ),
        (
            [image(8, 8)],
            r"does not fit net.onnx: got shape \[8, 8\], expected \[height, width, 3\]",
        ),
        ([np.full((8, 8, 3), np.nan, "f4")], "got NaN or infinite values for 'x0' in number 0"),
        ([{"other": image(1, 8, 8, 3)}], "net.onnx: got arrays for other, expected arrays for x0"),
    ],
)
def test_images_that_do_not_fit_are_refused_in_words(data, words):
    with pytest.raises(DataError, match=words):
        feeds_of(model(FREE), data, 8)


def test_values_that_an_integer_input_cannot_hold_are_refused():
    with pytest.raises(DataError, match="does not fit net.onnx: got uint16, expected uint8"):
        feeds_of(model(FREE, dtype="uint8"), [image(8, 8, 3, dtype=np.uint16)], 8)


def test_a_network_of_several_inputs_wants_mappings_that_fit():
    two = model(FREE, ("batch", 2))
    with pytest.raises(DataError, match=r"got images, expected mappings .* x0 float32\[batch"):
        feeds_of(two, [image(8, 8, 3)], 8)
    fitting = {"x0": image(1, 8, 8, 3, dtype=np.float32), "x1": np.zeros((1, 2), np.float32)}
    assert feeds_of(two, [fitting], 8) == [fitting]
    wrong = fitting | {"x1": np.zeros((1, 3), np.float32)}
    with pytest.raises(ShapeError, match=r"'x1' does not fit: got float32\[1, 3\], expected"):
        feeds_of(two, [wrong], 8)


def test_values_that_are_no_numbers_inside_the_network_are_named(tmp_path):
    from onnx import TensorProto, helper

    from tests.convert.test_activations import save

    nodes = [helper.make_node("Log", ["x"], ["y"], name="log")]
    shape = (TensorProto.FLOAT, [2])
    path = save(tmp_path / "log.onnx", nodes, {"x": shape}, {"y": shape})
    with pytest.raises(DataError, match="NaN or infinite values at 'y', inside the network"):
        clips(path, [{"x": np.array([1, -1], np.float32)}], ["y"])
