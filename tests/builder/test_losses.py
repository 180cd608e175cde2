import numpy as np
import pytest

pytestmark = pytest.mark.tf


def loss_of(truth, probabilities):
    from unetrt.builder import CrossEntropyDice

    return float(CrossEntropyDice()(truth, probabilities))


def test_it_is_near_zero_where_right_and_large_where_wrong(keras):
    truth = np.random.default_rng(0).integers(0, 3, (2, 8, 8)).astype(np.uint8)
    right = np.eye(3, dtype=np.float32)[truth]
    assert loss_of(truth, right) < 0.01
    assert loss_of(truth, np.roll(right, 1, axis=-1)) > 1


def test_it_is_cross_entropy_plus_one_minus_the_mean_dice(keras):
    truth = np.array([[[0, 1]]], np.uint8)
    p = np.array([[[[0.8, 0.2], [0.4, 0.6]]]], np.float32)
    cross_entropy = -(np.log(0.8) + np.log(0.6)) / 2
    dice = np.mean([(2 * 0.8 + 1) / (1 + 1.2 + 1), (2 * 0.6 + 1) / (1 + 0.8 + 1)])
    assert loss_of(truth, p) == pytest.approx(cross_entropy + 1 - dice, rel=1e-5)


def test_a_class_absent_from_the_batch_is_no_division_by_zero(keras):
    truth = np.zeros((1, 4, 4), np.uint8)
    p = np.zeros((1, 4, 4, 3), np.float32)
    p[..., 0] = 1
    assert np.isfinite(loss_of(truth, p))
