import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.errors import BadInput, ShapeError
from unetrt.tensors import LAYOUTS, ShapeProfile, ShapeRange, TensorSpec

SPEC = TensorSpec("image", "float32", ("batch", "height", "width", 3))
SIZES = st.integers(1, 9)
AXIS_NAMES = {"N": "batch", "H": "height", "W": "width", "C": "channels"}


@st.composite
def images(draw):
    """Draw an image's spec, some of its axes free, and sizes for all of them by letter."""
    sizes = {letter: draw(SIZES) for letter in AXIS_NAMES}
    layout = draw(st.sampled_from(LAYOUTS))
    free = {letter for letter in AXIS_NAMES if draw(st.booleans())}
    shape = tuple(AXIS_NAMES[own] if own in free else sizes[own] for own in layout)
    return TensorSpec("x", "float32", shape, layout), sizes


def test_a_free_axis_takes_any_size_and_a_fixed_one_only_its_own():
    SPEC.check((2, 5, 7, 3), "float32")
    with pytest.raises(ShapeError, match=r"'image' does not fit: got float32\[2, 5, 7, 1\]"):
        SPEC.check((2, 5, 7, 1), "float32")


@pytest.mark.parametrize(("shape", "dtype"), [((5, 7, 3), "float32"), ((1, 5, 7, 3), "uint8")])
def test_another_rank_or_type_does_not_fit(shape, dtype):
    with pytest.raises(ShapeError, match="expected float32"):
        SPEC.check(shape, dtype)


@given(images())
def test_a_spec_survives_json(drawn):
    spec, _ = drawn
    assert TensorSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(images())
def test_the_axes_of_an_image_are_where_its_layout_has_them(drawn):
    spec, sizes = drawn
    shape = tuple(sizes[letter] for letter in spec.layout)
    assert spec.is_image
    assert spec.sides(shape) == (sizes["H"], sizes["W"])
    assert shape[spec.channel_axis] == sizes["C"]
    spec.check(shape, "float32")
    assert spec.sides() == (spec.shape[spec.height_axis], spec.shape[spec.width_axis])
    assert spec.channels == spec.shape[spec.channel_axis]


@given(images())
def test_an_image_turns_to_channels_last_and_back(drawn):
    spec, sizes = drawn
    nhwc = np.random.default_rng(0).random([sizes[letter] for letter in LAYOUTS[0]])
    turned = spec.from_nhwc(nhwc)
    spec.check(turned.shape, "float32")
    np.testing.assert_array_equal(spec.to_nhwc(turned), nhwc)
    assert np.shares_memory(turned, nhwc)


@given(images(), SIZES, SIZES, SIZES)
def test_other_sides_leave_the_other_axes_alone(drawn, height, width, batch):
    spec, _ = drawn
    other = spec.with_sides(height, width)
    assert other.sides() == (height, width)
    assert (other.shape[0], other.channels, other.layout) == (
        spec.shape[0],
        spec.channels,
        spec.layout,
    )
    fixed = other.fixed_shape(batch)
    assert (fixed is None) == isinstance(spec.channels, str)
    if fixed is not None:
        other.check(fixed, "float32")
        assert fixed[0] == (batch if isinstance(spec.shape[0], str) else spec.shape[0])


@given(images())
def test_a_partial_shape_comes_back_with_the_axes_named(drawn):
    spec, _ = drawn
    assert TensorSpec.from_partial("x", "float32", spec.partial_shape, spec.layout) == spec


@pytest.mark.parametrize("shape", [(), (3,), ("batch", 5), (1, 2, 3), (1, 2, 3, 4, 5)])
def test_a_tensor_of_another_rank_is_no_image(shape):
    spec = TensorSpec("vector", "float32", shape, "NCHW")
    assert (spec.is_image, spec.layout, spec.with_sides(1, 1)) == (False, "", spec)
    array = np.zeros([size if isinstance(size, int) else 2 for size in shape])
    assert spec.to_nhwc(array) is spec.from_nhwc(array) is array
    for axis in ("height_axis", "width_axis", "channel_axis", "channels"):
        with pytest.raises(ShapeError, match="Tensor 'vector' is no image"):
            getattr(spec, axis)
    with pytest.raises(ShapeError, match="is no image"):
        spec.sides()
    assert TensorSpec.from_partial("vector", "float32", spec.partial_shape).fixed_shape(7) == (
        spec.fixed_shape(7)
    )


def test_four_axes_need_not_be_an_image():
    assert not TensorSpec("attention", "float32", ("batch", 8, 16, 16), "").is_image
    with pytest.raises(BadInput, match="layout that is none: got 'HWC', expected NHWC or NCHW"):
        TensorSpec("image", "float32", (1, 2, 3, 4), "HWC")


@given(st.lists(st.tuples(*[st.integers(1, 4096)] * 3).map(sorted), max_size=4))
def test_a_profile_survives_json(axes):
    profile = ShapeProfile(*(tuple(axis[end] for axis in axes) for end in range(3)))
    assert ShapeProfile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


@pytest.mark.parametrize(
    "shapes", [[], [[1], [2]], [[1], [2, 3], [4]], [[1], [2], ["x"]], [1, 2, 3]]
)
def test_a_profile_is_three_shapes_of_one_rank(shapes):
    with pytest.raises((ValueError, TypeError)):
        ShapeProfile.from_json(shapes)


@given(st.tuples(*[st.integers(1, 4096)] * 3).map(sorted))
def test_a_range_reads_what_it_prints(sizes):
    sizes = ShapeRange(*sizes)
    assert ShapeRange.parse(str(sizes)) == sizes
    assert sizes.opt in sizes
    assert sizes.max + 1 not in sizes


@pytest.mark.parametrize("text", ["", "a", "1:2", "1:2:3:4", "-1", "0", "4:2:8", "1:9:8"])
def test_a_range_out_of_order_or_unreadable_is_bad_input(text):
    with pytest.raises(BadInput, match="MIN:OPT:MAX"):
        ShapeRange.parse(text)
