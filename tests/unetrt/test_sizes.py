import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.errors import BadInput
from unetrt.sizes import SizeRule

PAPER = SizeRule(16, 12, 92)


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
def test_the_answer_to_a_covering_side_has_all_that_was_asked(rule, side):
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
