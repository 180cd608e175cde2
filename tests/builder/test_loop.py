import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.builder.train_spec import TrainSpec

pytestmark = pytest.mark.tf


@pytest.fixture
def stream(keras, discs):
    from unetrt.builder import Augmentation
    from unetrt.builder.crops import CropStream
    from unetrt.sizes import SizeRule

    return CropStream(
        discs.train,
        crop=16,
        batch=2,
        sizes=SizeRule(4),
        pixel_std=50,
        seed=1,
        augmentation=Augmentation(),
    )


def spec():
    from unetrt.builder import TrainSpec

    return TrainSpec(crop=16, batch=2)


def test_batches_come_in_order_from_any_number_on(stream):
    from unetrt.builder.loop import batches

    for number, (pixels, classes) in enumerate(batches(stream, spec(), first=7).take(6), start=7):
        expected = stream.batch(number)
        assert (pixels.numpy() == expected[0]).all()
        assert (classes.numpy() == expected[1]).all()
        assert pixels.shape == (2, 16, 16, 1)


def test_each_scale_gets_its_own_labels(stream):
    from unetrt.builder.loop import batches
    from unetrt.builder.training_model import AuxiliaryHead

    heads = (AuxiliaryHead(2, 1, 8), AuxiliaryHead(4, 2, 4))
    _, labels = next(iter(batches(stream, spec(), heads=heads)))
    whole = stream.batch(0)[1]
    assert [part.shape for part in labels] == [(2, 16, 16), (2, 8, 8), (2, 4, 4)]
    assert (labels[1].numpy() == whole[:, 1::2, 1::2]).all()
    assert labels[2].numpy().dtype == np.uint8


@pytest.fixture(autouse=True)
def _tensorflow(keras):
    """`unetrt.builder` imports it."""


class Clock:
    def __init__(self):
        self.s = 1000.0

    def __call__(self):
        return self.s


@given(done=st.floats(0, 1))
def test_the_rate_stays_between_zero_and_its_peak(keras, done):
    from unetrt.builder.loop import learning_rate

    assert 0 <= learning_rate(3e-3, done) <= 3e-3


def test_the_rate_rises_for_a_twentieth_and_falls_to_zero():
    from unetrt.builder.loop import learning_rate

    assert learning_rate(1.0, 0) == pytest.approx(0.2)
    assert learning_rate(1.0, 0.04) == pytest.approx(1, abs=0.01)
    assert learning_rate(1.0, 0.525) == pytest.approx(0.5, abs=0.05)
    assert learning_rate(1.0, 1) == pytest.approx(0)
    assert learning_rate(1.0, 1.2) == pytest.approx(0)


def test_epochs_are_counted_by_steps_whatever_the_clock_says():
    from unetrt.builder.loop import Schedule

    clock = Clock()
    schedule = Schedule(TrainSpec(epochs=4), 10, now=clock)
    assert schedule.remaining_s(0) == math.inf
    clock.s += 20
    assert schedule.done(10) == 0.25
    assert schedule.remaining_s(10) == pytest.approx(60)
    assert schedule.done(40) == 1


def test_minutes_go_on_where_an_interrupted_training_stopped():
    from unetrt.builder.loop import Schedule

    clock = Clock()
    schedule = Schedule(TrainSpec(minutes=2), 10, spent_s=30, now=clock)
    assert schedule.done(3) == 0.25
    clock.s += 60
    assert schedule.elapsed_s == 90
    assert schedule.remaining_s(7) == 30
    clock.s += 60
    assert schedule.remaining_s(9) == 0
    assert schedule.done(9) > 1
