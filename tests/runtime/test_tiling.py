"""Tiles cover the image once, and what is kept of each cannot have seen a tile's own edge."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from unetrt.errors import BadInput, ShapeError
from unetrt.runtime.tiling import choose_tiling, spans
from unetrt.sizes import ReceptiveField, SizeRule


@st.composite
def cuts(draw):
    """A rule, how far the network looks, an image and a tile that suit them."""
    multiple = 1 << draw(st.integers(0, 5))
    margin = draw(st.integers(0, 40))
    sizes = SizeRule(multiple, draw(st.integers(0, multiple - 1)), margin)
    before = draw(st.integers(0, 60)) if margin == 0 else 0
    after = draw(st.integers(0, 60)) if margin == 0 else 2 * margin
    side = sizes.at_least(draw(st.integers(1, 2000)))
    tile = sizes.at_least(before + after + multiple * draw(st.integers(1, 12)))
    return side, tile, sizes, before, after


@given(cuts())
def test_every_pixel_of_the_answer_is_kept_once(cut):
    side, tile, sizes, before, after = cut
    found = spans(side, tile, sizes, before=before, after=after)
    assert found[0].kept == 0
    assert found[-1].end == side - 2 * sizes.margin
    assert all(one.end == other.kept for one, other in pairwise(found))
    assert all(one.kept < one.end for one in found)


@given(cuts())
def test_what_is_kept_lies_far_from_the_edges_of_its_tile(cut):
    """Except where they are the image's own; and tiles begin where strides do."""
    side, tile, sizes, before, after = cut
    tile = min(tile, side)
    for start, kept, end in spans(side, tile, sizes, before=before, after=after):
        assert start % sizes.multiple == 0
        assert 0 <= start <= side - tile
        assert start == 0 or kept - before >= start
        assert start + tile == side or end - 1 + after < start + tile


def test_an_image_that_fits_is_one_tile():
    assert spans(96, 128, SizeRule(32), before=50, after=50) == ((0, 0, 96),)


def test_a_tile_of_halos_only_is_refused():
    with pytest.raises(ShapeError, match="too small for this network: got 96 pixels, expected at "
                       "least 128"):  # fmt: skip
        spans(512, 96, SizeRule(32), before=40, after=40)


def test_a_tile_that_cannot_be_halved_is_refused():
    with pytest.raises(ShapeError, match="cannot halve this tile: got 100, expected a multiple"):
        spans(512, 100, SizeRule(32))


RULES = (SizeRule(16), SizeRule(16))


def _field(before, after):
    return ReceptiveField((before, before), (after, after), (16, 16))


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    before=st.integers(0, 50),
    after=st.integers(0, 50),
    tiles=st.integers(1, 30),
)
def test_the_tiles_chosen_are_no_larger_than_allowed_and_the_best_of_those(
    height, width, before, after, tiles
):
    sides, most = (16 * height, 16 * width), tiles * 256
    least = SizeRule(16).at_least(before + after + 16)
    assume(min(least, sides[0]) * min(least, sides[1]) <= most)
    chosen = choose_tiling(sides, RULES, _field(before, after), most_pixels=most)
    assert chosen.tile[0] * chosen.tile[1] <= most
    square = max(n for n in range(16, 16 * 40, 16) if n * n <= most)
    if square >= least:
        rows, columns = (
            spans(side, min(square, side), SizeRule(16), before=before, after=after)
            for side in sides
        )
        seen = min(square, sides[0]) * min(square, sides[1])
        assert chosen.pixels <= len(rows) * len(columns) * seen


def test_an_image_within_the_limit_is_left_whole():
    assert choose_tiling((512, 256), RULES, _field(99, 99), most_pixels=512 * 256).count == 1
    everywhere = ReceptiveField(unbounded_by="norm1")
    assert choose_tiling((512, 256), RULES, everywhere, most_pixels=512 * 256).count == 1


def test_no_tile_is_larger_or_smaller_than_an_engine_takes():
    field = _field(30, 30)
    chosen = choose_tiling(
        (1024, 640), RULES, field, most_pixels=1 << 30, least=(200, 200), most=(256, 300)
    )
    assert 200 <= chosen.tile[0] <= 256
    assert 200 <= chosen.tile[1] <= 300


def test_too_little_memory_says_how_much_is_needed():
    with pytest.raises(BadInput, match="got room for 10000 pixels at once, expected 416 x 416"):
        choose_tiling((4096, 4096), RULES, _field(200, 200), most_pixels=10_000)


def test_a_network_that_sees_everything_cannot_be_cut():
    everywhere = ReceptiveField(unbounded_by="norm1")
    with pytest.raises(BadInput, match="got norm1, which sees the whole image"):
        choose_tiling((4096, 4096), RULES, everywhere, most_pixels=10_000)
