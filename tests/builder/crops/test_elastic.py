import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.builder.crops import displaced, displacement, sampled


@given(st.integers(8, 80), st.integers(0, 2**32))
def test_the_corners_and_the_middle_move_by_what_was_drawn_and_others_smoothly(side, seed):
    moved = displacement(side, 10.0, np.random.default_rng(seed))
    nodes = np.random.default_rng(seed).normal(scale=10.0, size=(2, 3, 3))
    assert moved.shape == (2, side, side)
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        np.testing.assert_allclose(moved[:, row, column], nodes[:, row, column], atol=1e-3)
    if side % 2:
        middle = side // 2
        np.testing.assert_allclose(moved[:, middle, middle], nodes[:, 1, 1], atol=1e-3)
    steps = np.abs(np.diff(moved, axis=1)).max()
    assert steps < 8 * np.abs(nodes).max() / (side - 1)


def test_no_displacement_gives_the_crop_itself():
    image = np.random.default_rng(0).integers(0, 60000, (40, 50)).astype(np.uint16)
    places = displaced((3, 7), np.zeros((2, 16, 16), np.float32))
    crop = image[3:19, 7:23]
    np.testing.assert_array_equal(sampled(image, places, smooth=True), crop)
    found = sampled(image, places, smooth=False)
    np.testing.assert_array_equal(found, crop)
    assert found.dtype == np.uint16


@pytest.mark.parametrize("smooth", [True, False])
def test_beyond_the_edge_the_image_is_mirrored(smooth):
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    moved = np.zeros((2, 2, 2), np.float32)
    found = sampled(image, displaced((-2, -1), moved), smooth=smooth)
    np.testing.assert_array_equal(found, [[4, 4], [0, 0]])


def test_labels_stay_labels():
    label = np.array([[0, 255], [2, 0]], np.uint8)
    random = np.random.default_rng(0)
    for _ in range(20):
        places = random.uniform(-3, 5, (2, 6, 6)).astype(np.float32)
        assert set(np.unique(sampled(label, places, smooth=False))) <= {0, 2, 255}
