"""Normalise pixels: of any scale alike, part by part as the whole, a volume's slices together."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt import normalization
from unetrt.data import Dataset, Sample
from unetrt.data.dataset import normalized
from unetrt.errors import BadInput, DataError
from unetrt.normalization import Normalization, NormalizedImage


def drawn(height, width, channels=1, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(random.uniform(-5, 5, channels), 2, (height, width, channels))


@given(
    factor=st.floats(0.01, 1000),
    offset=st.floats(-1000, 1000),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_pixels_of_any_scale_are_normalised_alike(factor, offset, channels, seed):
    image = drawn(20, 30, channels, seed)
    stored = (image * factor + offset * factor).astype(np.float32)
    found, expected = (Normalization().measure([x]).apply(x) for x in (stored, image))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-4 * max(1, abs(offset) / 50))


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    rows=st.integers(1, 80),
    most=st.integers(1, 5000),
)
def test_statistics_of_an_image_read_in_parts_are_those_of_the_whole(height, width, rows, most):
    image = drawn(height, width, 2)
    read = []

    class InParts:
        shape = image.shape

        def __getitem__(self, key):
            read.append(key[0].stop - key[0].start)
            return image[key]

    whole = Normalization().measure([image])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalization, "_ROWS", rows)
        parts = Normalization().measure([InParts()])
        assert max(read) <= rows
        np.testing.assert_array_equal(parts.mean, whole.mean)
        np.testing.assert_array_equal(parts.deviation, whole.deviation)
        patch.setattr(normalization, "_MOST_PIXELS", most)
        thin = Normalization().measure([image]), Normalization().measure([InParts()])
        np.testing.assert_array_equal(thin[0].mean, thin[1].mean)


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), most=st.integers(1, 400))
def test_blocks_of_any_form_see_each_pixel_that_counts_once(rows, columns, most):
    image = np.arange(13 * 17.0).reshape(13, 17, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(normalization, "_MOST_PIXELS", most)
        whole = Normalization().measure([image])
        patch.setattr(normalization, "_ROWS", rows)
        patch.setattr(normalization, "_COLUMNS", columns)
        parts = Normalization().measure([image])
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.deviation, whole.deviation, rtol=1e-12)


def test_the_memory_of_the_statistics_of_a_large_image_is_bounded():
    tile = drawn(1024, 1024).astype(np.float32)

    class Slide:
        shape = (12288, 12288, 1)  # 576 MiB

        def __getitem__(self, key):
            rows, columns = (np.arange(k.start, k.stop) % 1024 for k in key)
            return tile[np.ix_(rows, columns)]

    tracemalloc.start()
    found = Normalization().measure([Slide()])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20
    np.testing.assert_allclose(found.mean, tile.mean(), atol=0.02)


def test_a_part_of_a_normalised_image_is_that_part():
    image = drawn(40, 30)
    scale = Normalization().measure([image])
    part = NormalizedImage(image, scale)[3:9, 4:20]
    np.testing.assert_array_equal(part, scale.apply(image)[3:9, 4:20])


@pytest.mark.parametrize("value", [0, 0.1, -3, 1e30])
def test_a_constant_image_becomes_zeros(value):
    image = np.full((9, 9, 1), value)
    found = Normalization().measure([image]).apply(image)
    np.testing.assert_allclose(found, 0, atol=1e-6 * max(1, abs(value)))
    assert not np.isnan(found).any()


@given(factor=st.floats(0.01, 1000))
def test_a_file_that_is_nearly_all_background_has_the_scale_of_the_rest(factor):
    image = np.zeros((100, 100, 1))
    image[:2, :10] = factor * np.arange(1, 21).reshape(2, 10, 1)
    found = Normalization().measure([image]).apply(image)
    assert 1 < found.max() <= 10
    expected = Normalization().measure([image / factor]).apply(image / factor)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_hot_pixel_does_not_set_the_scale_and_stays_in_bounds():
    image = drawn(40, 40)
    hot = image.copy()
    hot[5, 5] = 1e9
    found = Normalization().measure([hot]).apply(hot)
    assert found.max() == 10
    cool = np.delete(found.ravel(), 5 * 40 + 5)
    plain = np.delete(Normalization().measure([image]).apply(image).ravel(), 5 * 40 + 5)
    np.testing.assert_allclose(cool, plain, atol=0.02)


def test_pixels_that_are_no_numbers_are_refused():
    image = drawn(9, 9)
    image[3, 3] = np.inf
    with pytest.raises(DataError, match="Cannot normalise these pixels: got NaN or infinite ones"):
        Normalization().measure([image])


def test_pages_that_make_no_file_are_refused():
    with pytest.raises(BadInput, match="got no page, expected pages of as many channels"):
        Normalization().measure([])
    with pytest.raises(BadInput, match="got 1 and 3 channels"):
        Normalization().measure([drawn(4, 4), drawn(4, 4, 3)])


@pytest.mark.parametrize(
    "fields", [{"percentiles": (50, 50)}, {"percentiles": (-1, 99)}, {"limit": 0}]
)
def test_a_normalisation_that_is_none_is_refused(fields):
    with pytest.raises(BadInput, match="expected percentiles that rise from 0 to 100"):
        Normalization(**fields)


def volume(name, scale):
    random = np.random.default_rng(scale)
    for k in range(3):
        image = scale * (random.normal(k, 1, (12, 14, 1)) + 5).astype(np.float32)
        yield Sample(f"{name}{k}", image, np.ones((12, 14), np.uint8), group=name)


def test_slices_of_a_volume_share_its_statistics():
    test = (*volume("a", 1), *volume("b", 700))
    data = Dataset("volumes", ("none", "one"), test, test, test)
    a, b = np.split(np.stack([s.image for s in data.normalized(Normalization()).test]), 2)
    for pages in (a, b):
        assert abs(pages.mean()) < 0.1
        assert pages[2].mean() > pages[1].mean() > pages[0].mean()
    assert data.normalized(None) is data


def test_one_slice_is_normalised_by_all_of_its_file():
    pages = list(volume("a", 3))
    together = list(normalized(pages, Normalization()))
    (alone,) = normalized(pages[2:], Normalization(), among=pages)
    np.testing.assert_array_equal(alone.image, together[2].image)
    (itself,) = normalized(pages[2:], Normalization())
    assert not np.array_equal(itself.image, alone.image)
