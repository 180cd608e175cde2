import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unetrt.builder.crops import border_weights


def by_the_paper(instances, w0, sigma):
    """Return the weights from every object's distance over the whole image."""
    numbers = [n for n in np.unique(instances) if n]
    if len(numbers) < 2:
        return np.ones(instances.shape)
    distances = np.sort([ndimage.distance_transform_edt(instances != n) for n in numbers], axis=0)
    weights = 1 + w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    return np.where(instances > 0, 1, weights)


@st.composite
def maps(draw):
    instances = np.zeros((draw(st.integers(5, 60)), draw(st.integers(5, 60))), np.int32)
    for _ in range(draw(st.integers(0, 6))):
        top, left = draw(st.integers(0, instances.shape[0] - 1)), draw(st.integers(0, 50))
        number = draw(st.integers(1, 9))
        instances[top : top + draw(st.integers(1, 9)), left : left + draw(st.integers(1, 9))] = (
            number
        )
    return instances


@settings(max_examples=60)
@given(maps(), st.sampled_from([2.0, 5.0]))
def test_the_weights_are_the_paper_s(instances, sigma):
    found = border_weights(instances, sigma=sigma)
    assert (found.shape, found.dtype) == (instances.shape, np.float32)
    np.testing.assert_allclose(found, by_the_paper(instances, 10.0, sigma), atol=1e-3)


def test_a_gap_of_one_pixel_weighs_most():
    instances = np.zeros((9, 21), np.int32)
    instances[:, :10], instances[:, 11:] = 1, 2
    weights = border_weights(instances)
    assert weights[4, 10] == pytest.approx(1 + 10 * np.exp(-(2**2) / 50))
    assert (weights[instances > 0] == 1).all()


def test_a_lone_object_has_no_border_to_keep():
    instances = np.zeros((9, 9), np.uint16)
    instances[3:5, 3:5] = 7
    assert (border_weights(instances) == 1).all()
