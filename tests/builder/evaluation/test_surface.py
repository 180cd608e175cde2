import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unetrt.builder.evaluate import hd95

MASKS = arrays(np.bool_, (9, 11)).filter(lambda mask: mask.any())


def outline(mask):
    around = np.pad(mask, 1)
    inside = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return np.argwhere(mask & ~inside)


@given(MASKS, MASKS)
def test_it_is_the_percentile_of_the_distances_between_outlines(a, b):
    apart = np.linalg.norm(outline(a)[:, None] - outline(b)[None], axis=-1)
    expected = np.percentile([*apart.min(axis=0), *apart.min(axis=1)], 95)
    assert hd95(a, b) == pytest.approx(expected)
    assert hd95(b, a) == pytest.approx(expected)


@given(MASKS)
def test_a_mask_is_at_no_distance_from_itself(mask):
    assert hd95(mask, mask) == 0


@given(st.integers(1, 5))
def test_a_shifted_square_is_as_far_as_it_was_shifted(shift):
    a = np.zeros((30, 30), bool)
    a[5:25, 3:7] = True
    assert hd95(a, np.roll(a, shift, axis=1)) == pytest.approx(shift)
