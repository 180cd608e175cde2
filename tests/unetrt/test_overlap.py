import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unetrt.dice import DiceCounter

CLASSES = ("background", "grey", "white")
LABELS = arrays(np.uint8, (6, 7), elements=st.integers(0, 2))


def counted(*pairs):
    counter = DiceCounter(CLASSES)
    for truth, prediction in pairs:
        counter.add(truth, prediction)
    return counter


@given(LABELS)
def test_a_perfect_prediction_has_dice_one(label):
    assert set(counted((label, label)).to_json().values()) == {1.0}


@given(LABELS, LABELS)
def test_dice_is_twice_the_overlap_over_the_sum(truth, prediction):
    found = counted((truth, prediction)).per_class
    for number, name in ((1, "grey"), (2, "white")):
        a, b = truth == number, prediction == number
        total = a.sum() + b.sum()
        assert found[name] == pytest.approx(2 * (a & b).sum() / total if total else 1.0)


def test_classes_pool_over_pixels_but_the_foreground_is_a_mean_over_images():
    full, empty = np.ones((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    counter = counted((full, full), (full, empty))
    assert counter.per_class["grey"] == pytest.approx(2 / 3)
    assert counter.per_image_foreground == pytest.approx(1 / 2)
