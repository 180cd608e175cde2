import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetrt.sizes import SizeRule, as_batch, mirrored_to_fit

SIDE = st.integers(1, 40)
RULES = st.sampled_from(
    [SizeRule(), SizeRule(2), SizeRule(32), SizeRule(4, 3, 5), SizeRule(16, 12, 92)]
)


@given(SIDE, SIDE, RULES)
def test_the_image_lies_where_the_answer_begins_and_the_network_takes_both_sides(
    height, width, rule
):
    image = np.arange(height * width, dtype=np.int32).reshape(height, width, 1)
    padded = mirrored_to_fit(image, rule)
    answer = padded[rule.margin :, rule.margin :]
    np.testing.assert_array_equal(answer[:height, :width], image)
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
