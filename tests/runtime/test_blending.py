"""Blended tiles cover every pixel with a positive weight, and agree where the tiles do."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.errors import BadInput
from unetrt.runtime.segmenter import blended_rows, joined
from unetrt.runtime.tiling import choose_blended, gaussian_weights
from unetrt.sizes import SizeRule

RULE = SizeRule(16)


def test_the_weights_are_a_gaussian_of_an_eighth_of_the_tile():
    weights = gaussian_weights(65, 33)
    assert weights[32, 16] == 1
    assert weights.min() > 0
    np.testing.assert_allclose(weights[32 + 8, 16], np.exp(-0.5 * (8 / (65 / 8)) ** 2), rtol=1e-6)
    np.testing.assert_array_equal(weights, weights[::-1, ::-1])


@given(height=st.integers(1, 40), width=st.integers(1, 40), most=st.integers(256, 16 * 16 * 400))
def test_tiles_fit_the_memory_overlap_by_half_and_cover_the_image(height, width, most):
    sides = (16 * height, 16 * width)
    tiling = choose_blended(sides, (RULE, RULE), most_pixels=most)
    assert tiling.tile[0] * tiling.tile[1] <= most
    for side, tile, spans in zip(sides, tiling.tile, (tiling.rows, tiling.columns), strict=True):
        assert spans[0].start == 0
        assert spans[-1].start + min(tile, side) == side == spans[-1].end
        for one, other in pairwise(spans):
            assert one.end == other.kept == other.start
            assert 0 < other.start - one.start <= tile / 2 + 1


def test_no_room_for_the_smallest_tile_says_so():
    with pytest.raises(BadInput, match="room for 100 pixels at once, expected 16 x 16 or more"):
        choose_blended((64, 64), (RULE, RULE), most_pixels=100)


@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    margin=st.sampled_from([0, 5]),
    most=st.integers(48 * 48, 100 * 100),
)
def test_what_looks_at_one_pixel_is_blended_to_itself(height, width, margin, most):
    """So positions are right: each tile says of a pixel what the pixel is, at its own place."""
    rule = SizeRule(16, 2 * margin % 16, margin)
    image = np.random.default_rng(0).random((height, width, 1)).astype(np.float32)
    sides = rule.covering(height), rule.covering(width)
    tiling = choose_blended(sides, (rule, rule), most_pixels=most)
    inner = slice(margin, -margin or None)
    done = []
    rows = blended_rows(image, tiling, margin, lambda x: x[:, inner, inner], on_tile=done.append)
    np.testing.assert_allclose(joined(rows, height), image, atol=1e-6)
    assert done == sorted(done)
    assert done[-1] <= tiling.count


def test_rows_that_begin_further_down_are_the_same_to_the_bit():
    image = np.random.default_rng(0).random((300, 90, 1)).astype(np.float32)
    tiling = choose_blended((304, 96), (RULE, RULE), most_pixels=48 * 48)

    def seen(x):  # an answer that depends on where the tile is cut
        return x - x.mean(axis=(1, 2), keepdims=True)

    whole = list(blended_rows(image, tiling, 0, seen))
    for first in (1, 3, len(tiling.rows) - 1):
        again = list(blended_rows(image, tiling, 0, seen, first=first))
        assert [r.top for r in again] == [r.top for r in whole[first:]]
        for mine, theirs in zip(again, whole[first:], strict=True):
            np.testing.assert_array_equal(mine.values, theirs.values)


def test_only_a_row_of_tiles_is_read_at_a_time():
    image = np.zeros((2000, 60, 1), np.float32)
    lowest = []

    class Watched:
        shape = image.shape

        def __getitem__(self, key):
            lowest.append(key[0].stop)
            return image[key]

    tiling = choose_blended((2000, 64), (RULE, RULE), most_pixels=48 * 48)
    next(blended_rows(Watched(), tiling, 0, lambda x: x))
    assert max(lowest) <= tiling.tile[0]
