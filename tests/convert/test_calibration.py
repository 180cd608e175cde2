"""Calibrate: images brought to a network's size, histograms that grow, the clips they give."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.convert.graphs import make, save
from unetrt.artifacts import OnnxModel
from unetrt.convert import calibration
from unetrt.convert.calibration import Histogram, clips, feeds_of
from unetrt.convert.passes.quantize import LARGEST
from unetrt.errors import DataError, ShapeError
from unetrt.sizes import SizeRule
from unetrt.tensors import TensorSpec

FREE = ("batch", "height", "width", 3)


def model(*shapes, dtype="float32", layout="NHWC", multiple=4):
    inputs = tuple(TensorSpec(f"x{k}", dtype, shape, layout) for k, shape in enumerate(shapes))
    return OnnxModel(path=Path("net.onnx"), sha256="", inputs=inputs, sizes=SizeRule(multiple))


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
    nodes = [make("Log", ["x"], ["y"], name="log")]
    path = save(tmp_path / "log.onnx", nodes, {"x": [2]}, {"y": [2]}).path
    with pytest.raises(DataError, match="NaN or infinite values at 'y', inside the network"):
        clips(path, [{"x": np.array([1, -1], np.float32)}], ["y"])


arrays = hnp.arrays(
    np.float32, st.integers(1, 50), elements=st.floats(-(2.0**40), 2.0**40, width=32)
)


@given(st.lists(arrays, min_size=1, max_size=5))
def test_every_value_but_zero_is_counted_and_lies_within_the_bins(batches):
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    everything = np.abs(np.concatenate(batches).astype(np.float64))
    assert histogram.counts.sum() == np.count_nonzero(everything)
    reach = histogram.width * histogram.counts.size
    assert everything.max() <= reach * (1 + 1e-9)
    assert 0 <= histogram.clip() <= reach * (1 + 1e-9)


def test_what_is_zero_everywhere_has_a_clip_of_zero():
    histogram = Histogram()
    histogram.add(np.zeros((2, 3), np.float32))
    assert histogram.clip() == 0


def test_a_lone_outlier_is_cut_off_and_an_even_spread_is_not():
    random = np.random.default_rng(0)
    tailed, even = Histogram(), Histogram()
    tailed.add(np.append(random.normal(size=1_000_000), 100))
    even.add(random.uniform(-1, 1, 100_000))
    assert 3 < tailed.clip() < 50
    assert even.clip() == pytest.approx(1, rel=0.02)


def error_at(values, clip):
    step = clip / LARGEST
    quantised = np.clip(np.rint(values / step), -LARGEST, LARGEST) * step
    return np.mean((values - quantised) ** 2)


@pytest.mark.parametrize("draw", ["normal", "laplace", "standard_cauchy", "exponential"])
def test_the_clip_is_near_the_best_there_is(draw):
    values = getattr(np.random.default_rng(1), draw)(size=200_000).clip(-1000, 1000)
    histogram = Histogram()
    for part in np.split(values, 10):
        histogram.add(part)
    best = min(error_at(values, clip) for clip in np.geomspace(0.5, np.abs(values).max(), 60))
    assert error_at(values, histogram.clip()) <= 1.05 * best
