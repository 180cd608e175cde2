from dataclasses import replace

import numpy as np
import pytest

from unetrt.builder.train_spec import TrainSpec
from unetrt.data import IGNORED
from unetrt.errors import BadInput

pytestmark = pytest.mark.tf

ALL = ("ce", "dice", "ce_dice", "focal", "tversky", "border")


def make(name, n_classes=3, **options):
    from unetrt.builder.losses import make_loss

    sigmoid = options.pop("sigmoid", False)
    return make_loss(TrainSpec(loss=name, **options), n_classes=n_classes, sigmoid=sigmoid)


def value(loss, truth, p, weights=None):
    return float(loss(truth, p, sample_weight=weights))


def drawn(seed=0, shape=(2, 6, 5), n_classes=3, *, sigmoid=False):
    random = np.random.default_rng(seed)
    truth = random.integers(0, n_classes, shape).astype(np.uint8)
    p = random.uniform(0.05, 0.95, (*shape, n_classes)).astype(np.float32)
    return truth, p if sigmoid else p / p.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_it_is_near_zero_where_right_and_large_where_wrong(keras, name, sigmoid):
    loss = make(name, sigmoid=sigmoid)
    truth = np.random.default_rng(0).integers(0, 3, (2, 8, 8)).astype(np.uint8)
    right = np.eye(3, dtype=np.float32)[truth]
    assert 0 <= value(loss, truth, right) < 0.01
    assert value(loss, truth, np.roll(right, 1, axis=-1)) > 0.6


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_ignored_pixels_are_as_if_they_were_not_there(keras, name, sigmoid):
    import tensorflow as tf

    loss = make(name, sigmoid=sigmoid, class_weights=(1.0, 2.0, 0.5))
    for seed in range(5):
        truth, p = drawn(seed, (1, 4, 8), sigmoid=sigmoid)
        known = value(loss, truth[:, :, :5], p[:, :, :5])
        truth[:, :, 5:] = IGNORED
        assert value(loss, truth, p) == pytest.approx(known, rel=1e-5)
        predicted = tf.Variable(p)
        with tf.GradientTape() as tape:
            made = loss(truth, predicted)
        gradient = tape.gradient(made, predicted).numpy()
        assert not gradient[:, :, 5:].any()
        assert gradient[:, :, :5].any()


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_a_batch_of_ignored_pixels_is_zero(keras, name, sigmoid):
    _, p = drawn(sigmoid=sigmoid)
    truth = np.full(p.shape[:3], IGNORED, np.uint8)
    assert value(make(name, sigmoid=sigmoid), truth, p) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_sure_and_wrong_is_large_but_finite(keras, name, sigmoid):
    truth = np.zeros((1, 4, 4), np.uint8)
    p = np.zeros((1, 4, 4, 3), np.float32)
    p[..., 2] = 1
    assert np.isfinite(value(make(name, sigmoid=sigmoid), truth, p))


def test_cross_entropy_and_dice_are_what_they_say(keras):
    truth = np.array([[[0, 1]]], np.uint8)
    p = np.array([[[[0.8, 0.2], [0.4, 0.6]]]], np.float32)
    cross_entropy = -(np.log(0.8) + np.log(0.6)) / 2
    dice = np.mean([(2 * 0.8 + 1) / (1 + 1.2 + 1), (2 * 0.6 + 1) / (1 + 0.8 + 1)])
    assert value(make("ce", 2), truth, p) == pytest.approx(cross_entropy, rel=1e-5)
    assert value(make("dice", 2), truth, p) == pytest.approx(1 - dice, rel=1e-5)
    assert value(make("ce_dice", 2), truth, p) == pytest.approx(cross_entropy + 1 - dice, rel=1e-5)
    each = [np.log(0.8), np.log(1 - 0.2), np.log(1 - 0.4), np.log(0.6)]
    assert value(make("ce", 2, sigmoid=True), truth, p) == pytest.approx(-np.mean(each), rel=1e-5)


def test_focal_loss_fades_where_the_network_is_right(keras):
    truth = np.zeros((1, 1, 1), np.uint8)
    p = np.array([[[[0.9, 0.1]]]], np.float32)
    assert value(make("focal", 2), truth, p) == pytest.approx(0.1**2 * -np.log(0.9), rel=1e-4)


def test_tversky_weighs_what_is_missed_more(keras):
    missed = np.array([[[1, 1, 0, 0]]], np.uint8), np.array([[[1, 0, 0, 0]]])
    too_much = np.array([[[1, 0, 0, 0]]], np.uint8), np.array([[[1, 1, 0, 0]]])
    loss = make("tversky", 2, class_weights=(0.0, 1.0))
    losses = [value(loss, truth, np.eye(2, dtype=np.float32)[p]) for truth, p in (missed, too_much)]
    assert losses[0] == pytest.approx(1 - (1 + 1) / (1 + 0.7 + 1))
    assert losses[1] == pytest.approx(1 - (1 + 1) / (1 + 0.3 + 1))


@pytest.mark.parametrize("name", ["ce", "focal"])
def test_class_weights_scale_the_pixels_of_their_class(keras, name):
    truth, p = drawn()
    plain, heavy = make(name), make(name, class_weights=(1.0, 5.0, 1.0))
    ones = np.where(truth == 1, truth, IGNORED)
    others = np.where(truth == 1, IGNORED, truth)
    assert value(heavy, ones, p) == pytest.approx(5 * value(plain, ones, p), rel=1e-5)
    assert value(heavy, others, p) == pytest.approx(value(plain, others, p), rel=1e-5)


def test_a_class_of_no_weight_has_no_part_in_dice(keras):
    truth, p = drawn()
    loss = make("dice", class_weights=(0.0, 1.0, 1.0))
    other = p.copy()
    other[..., 0] = 0.5
    assert value(loss, truth, p) == pytest.approx(value(loss, truth, other), rel=1e-5)


def test_border_weights_scale_their_pixels(keras):
    truth, p = drawn(shape=(1, 1, 2))
    weights = np.array([[[3.0, 1.0]]], np.float32)
    each = [-np.log(p[0, 0, k, truth[0, 0, k]]) for k in range(2)]
    expected = (3 * each[0] + each[1]) / 2
    assert value(make("border"), truth, p, weights) == pytest.approx(expected, rel=1e-5)


def test_class_weights_that_do_not_fit_the_classes_are_refused(keras):
    with pytest.raises(BadInput, match="got 2 weights, expected 3, one a class"):
        make("ce", class_weights=(1.0, 2.0))


def test_border_weights_need_instances(keras, discs):
    from unetrt.builder.losses import check_loss

    spec = TrainSpec(loss="border")
    with pytest.raises(BadInput, match="do not tell one object from the next.*labels that number"):
        check_loss(spec, discs, 2)
    numbered = tuple(replace(s, instances=s.label.astype(np.int32)) for s in discs.train)
    check_loss(spec, replace(discs, train=numbered), 2)


@pytest.mark.parametrize("name", ALL)
def test_a_loss_is_saved_and_read(keras, name):
    loss = make(name, class_weights=(1.0, 2.0, 3.0), sigmoid=True)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    truth, p = drawn(sigmoid=True)
    assert value(again, truth, p) == value(loss, truth, p)
