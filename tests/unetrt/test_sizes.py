import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.errors import BadInput
from unetrt.sizes import ReceptiveField, SizeRule, as_batch, mirrored_to_fit

PAPER = SizeRule(16, 12, 92)
SIDE = st.integers(1, 40)
RULES = st.sampled_from([SizeRule(), SizeRule(2), SizeRule(32), SizeRule(4, 3, 5), PAPER])


@st.composite
def rules(draw):
    multiple = draw(st.sampled_from([1, 2, 3, 16, 32]))
    return SizeRule(multiple, draw(st.integers(0, multiple - 1)), draw(st.integers(0, 100)))


@given(rules(), st.integers(1, 2000))
def test_the_next_side_that_fits_is_the_first_that_does(rule, side):
    found = rule.at_least(side)
    assert rule.fits(found)
    assert not any(rule.fits(other) for other in range(side, found))


@given(rules(), st.integers(1, 2000))
def test_the_output_of_a_covering_side_has_all_that_was_asked(rule, side):
    assert 0 <= rule.covering(side) - 2 * rule.margin - side < rule.multiple


@given(rules(), st.integers(1, 2000))
def test_no_side_that_fits_lies_between_the_nearest(rule, side):
    nearest = rule.nearest(side)
    assert all(map(rule.fits, nearest))
    between = range(nearest[0] + 1, nearest[-1])
    assert not any(map(rule.fits, between))
    assert nearest[-1] >= side


def test_the_paper_s_sides_are_16_k_and_12():
    assert PAPER.fits(572)
    assert PAPER.covering(388) == 572
    assert PAPER.nearest(570) == (556, 572)
    assert PAPER.nearest(100) == (188,)
    assert str(PAPER) == "12 more than a multiple of 16"


@given(rules(), rules(), st.integers(1, 3000))
def test_what_fits_two_networks_fits_each(one, other, side):
    try:
        both = one.joined(other)
    except BadInput:
        assert one.margin != other.margin or not (one.fits(side) and other.fits(side))
        return
    assert both.fits(side) == (one.fits(side) and other.fits(side))


def test_networks_of_other_margins_cannot_be_compared():
    with pytest.raises(BadInput, match="Two networks cannot take the same images"):
        PAPER.joined(SizeRule(32))


@given(SIDE, SIDE, RULES)
def test_the_image_lies_where_the_output_begins_and_the_network_takes_both_sides(
    height, width, rule
):
    image = np.arange(height * width, dtype=np.int32).reshape(height, width, 1)
    padded = mirrored_to_fit(image, rule)
    output = padded[rule.margin :, rule.margin :]
    np.testing.assert_array_equal(output[:height, :width], image)
    for new, old in zip(padded.shape[:2], image.shape[:2], strict=True):
        assert rule.fits(new)
        assert 0 <= new - 2 * rule.margin - old < rule.multiple


def test_what_is_added_mirrors_the_edges():
    padded = mirrored_to_fit(np.array([[1, 2, 3]]), SizeRule(4))
    np.testing.assert_array_equal(padded[0], [1, 2, 3, 3])
    padded = mirrored_to_fit(np.array([[1, 2, 3]]), SizeRule(1, 0, 2))
    np.testing.assert_array_equal(padded[0], [2, 1, 1, 2, 3, 3, 2])


def test_a_batch_is_of_one_and_float32():
    batch = as_batch(np.zeros((5, 6, 3), np.uint8), SizeRule(4))
    assert (batch.shape, batch.dtype) == ((1, 8, 8, 3), np.float32)


@pytest.mark.parametrize(
    "field", [ReceptiveField((1, 2), (3, 4), (8, 16)), ReceptiveField.unknown()]
)
def test_a_receptive_field_survives_json(field):
    assert ReceptiveField.from_json(field.to_json()) == field


@pytest.mark.parametrize(
    "change", [{"before": [1]}, {"after": [1, -2]}, {"stride": [0, 1]}, {"stride": ["x", 1]}]
)
def test_a_receptive_field_of_other_numbers_is_refused(change):
    with pytest.raises(ValueError, match=r"receptive field|invalid literal"):
        ReceptiveField.from_json(ReceptiveField().to_json() | change)


def test_only_a_named_layer_makes_a_receptive_field_unbounded():
    assert ReceptiveField().is_bounded
    assert not ReceptiveField.unknown().is_bounded
