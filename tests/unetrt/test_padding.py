import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetrt.padding import mirrored_to_multiple


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 16, 32]))
def test_the_image_stays_in_its_corner_and_both_sides_can_be_halved(height, width, multiple):
    image = np.arange(height * width, dtype=np.int32).reshape(height, width, 1)
    padded = mirrored_to_multiple(image, multiple)
    np.testing.assert_array_equal(padded[:height, :width], image)
    assert all(new % multiple == 0 and new - old < multiple for new, old in
               zip(padded.shape[:2], image.shape[:2], strict=True))  # fmt: skip


def test_what_is_added_mirrors_the_edge():
    padded = mirrored_to_multiple(np.array([[1, 2, 3]]), 4)
    np.testing.assert_array_equal(padded[0], [1, 2, 3, 3])
