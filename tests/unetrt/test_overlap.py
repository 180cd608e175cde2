import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unetrt.data import IGNORED
from unetrt.overlap import OverlapCounter

CLASSES = ("background", "grey", "white")
LABELS = arrays(np.uint8, (6, 7), elements=st.integers(0, 2))


def counted(*pairs):
    counter = OverlapCounter(CLASSES)
    for truth, prediction in pairs:
        counter.add(truth, prediction)
    return counter


@given(LABELS)
def test_a_perfect_prediction_has_dice_one(label):
    counter = counted((label, label))
    for found in (counter.to_json(), counter.iou, counter.precision, counter.recall):
        assert set(found.values()) == {1.0}


@given(LABELS, LABELS)
def test_each_figure_is_the_share_that_it_is_named_for(truth, prediction):
    counter = counted((truth, prediction))
    for number, name in ((1, "grey"), (2, "white")):
        a, b = truth == number, prediction == number
        both, either, total = (a & b).sum(), (a | b).sum(), a.sum() + b.sum()
        assert counter.dice[name] == pytest.approx(2 * both / total if total else 1.0)
        assert counter.iou[name] == pytest.approx(both / either if either else 1.0)
        if total:
            assert counter.precision[name] == pytest.approx(both / b.sum() if b.any() else 0.0)
            assert counter.recall[name] == pytest.approx(both / a.sum() if a.any() else 0.0)


@given(LABELS, LABELS, arrays(np.bool_, (6, 7)))
def test_ignored_pixels_are_as_if_they_were_not_there(truth, prediction, unknown):
    counter = counted((np.where(unknown, IGNORED, truth), prediction))
    known = counted((truth[~unknown][None], prediction[~unknown][None]))
    assert counter.to_json() == known.to_json()
    assert (counter.iou, counter.precision, counter.recall) == (
        known.iou,
        known.precision,
        known.recall,
    )


def test_classes_pool_over_pixels_but_the_foreground_is_a_mean_over_images():
    full, empty = np.ones((2, 2), np.uint8), np.zeros((2, 2), np.uint8)
    counter = counted((full, full), (full, empty))
    assert counter.dice["grey"] == pytest.approx(2 / 3)
    assert counter.per_image_foreground == pytest.approx(1 / 2)


def test_confused_foreground_classes_are_foreground_all_the_same():
    counter = counted((np.full((2, 2), 1), np.full((2, 2), 2)))
    assert counter.per_image_foreground == 1.0
    assert counter.dice == {"grey": 0.0, "white": 0.0}
