"""The golden sample travels as text and comes back as it was; what was altered is refused."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unetrt.golden import GoldenOutput, GoldenSample, PackedArray, draw_grid


def golden(channels=1, height=32, width=48):
    y = np.random.default_rng(0).random((1, height, width, 3)).astype(np.float32)
    outputs = {"y": GoldenOutput.sample(y), "score": GoldenOutput.sample(y[:, 0, 0])}
    return GoldenSample(height, width, 1 / 255, {"image": draw_grid(channels, 0)}, outputs)


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.float32]),
        arrays.array_shapes(max_dims=4, max_side=6),
    )
)
def test_an_array_comes_back_to_the_bit(array):
    packed = PackedArray.from_json(json.loads(json.dumps(PackedArray.pack(array).to_json())))
    assert packed.array.dtype == array.dtype
    np.testing.assert_array_equal(packed.array, array)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [3, 3]},
        {"shape": [-1]},
        {"shape": [1 << 30]},
        {"dtype": "object"},
        {"data": "AAAA"},
        {"data": "?"},
    ],
)
def test_text_that_holds_another_array_is_refused(changes):
    fields = PackedArray.pack(np.zeros((2, 3), np.float32)).to_json()
    with pytest.raises(ValueError, match=r".+"):
        PackedArray.from_json(fields | changes)


def test_a_golden_image_is_small_and_comes_back():
    own = golden(channels=3)
    text = json.dumps(own.to_json())
    assert len(text) < 10_000
    assert GoldenSample.from_json(json.loads(text)) == own


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 1, 1), (3, 32, 17), (1, 220, 220)])
def test_the_image_is_smooth_and_covers_the_range(channels, height, width):
    image = golden(channels, height, width).image("image")
    assert (image.shape, image.dtype) == ((1, height, width, channels), np.uint8)
    if min(height, width) > 16:
        assert np.ptp(image) > 150
        assert np.abs(np.diff(image.astype(int), axis=1)).max() <= math.ceil(255 * 4 / (width - 1))


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 5))
def test_what_is_kept_of_an_output_meets_all_columns(height, width, channels):
    y = np.arange(height * width * channels, dtype=np.float32).reshape(1, height, width, channels)
    output = GoldenOutput.sample(y)
    assert output.values.array.size <= 1024
    assert math.gcd(output.step, width) == 1
    np.testing.assert_array_equal(output.same_pixels(y), output.values.array)
    np.testing.assert_array_equal(output.same_pixels(y[..., 0])[:, 0], output.values.array[:, 0])


@pytest.mark.parametrize("changes", [{"height": 0}, {"grids": {}}, {"outputs": None}])
def test_a_golden_image_without_pixels_is_refused(changes):
    with pytest.raises((ValueError, AttributeError)):
        GoldenSample.from_json(golden().to_json() | changes)


def test_pixels_are_scaled_where_the_network_wants_it():
    own = golden()
    image = own.image("image")
    np.testing.assert_allclose(own.feed("image", "float32"), image / 255, rtol=1e-6)
    assert own.feed("image", "float16").dtype == np.float16
    whole = replace(own, scale=1.0)
    np.testing.assert_array_equal(whole.feed("image", "uint16"), image)
