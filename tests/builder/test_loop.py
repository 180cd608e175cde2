import math
from itertools import pairwise

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

    heads = (AuxiliaryHead(2, (1, 1), (8, 8)), AuxiliaryHead(4, (2, 2), (4, 4)))
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
    schedule.start()
    clock.s += 20
    assert schedule.done(10) == 0.25
    assert schedule.remaining_s(10) == pytest.approx(60)
    assert schedule.done(40) == 1


def test_minutes_go_on_where_an_interrupted_training_stopped():
    from unetrt.builder.loop import Schedule

    clock = Clock()
    schedule = Schedule(TrainSpec(minutes=2), 10, spent_s=30, now=clock)
    assert schedule.done(3) == 0.25
    clock.s += 40  # the first step compiles the network: no part of the training's time
    assert schedule.done(3) == 0.25
    schedule.start()
    clock.s += 60
    assert schedule.elapsed_s == 90
    assert schedule.remaining_s(7) == 30
    clock.s += 60
    assert schedule.remaining_s(9) == 0
    assert schedule.done(9) > 1


def test_epochs_by_the_clock_begin_early_and_leave_the_time_to_training():
    from unetrt.builder.loop import Schedule

    clock = Clock()
    schedule = Schedule(TrainSpec(minutes=10), 10, now=clock)
    schedule.start()
    ends = []
    while schedule.done(0) < 1:
        clock.s += 1
        if schedule.ends_epoch(0):
            ends.append(schedule.elapsed_s)
            clock.s += 12  # a slow validation
            schedule.plan_epoch(validation_s=12)
    assert ends[0] == 75  # an eighth
    assert all(after - before >= 120 for before, after in pairwise(ends[:-1]))
    assert ends[-1] == 600


def test_a_training_of_steps_ends_its_epochs_by_steps():
    from unetrt.builder.loop import Schedule

    schedule = Schedule(TrainSpec(epochs=2), 10)
    assert [step for step in range(1, 21) if schedule.ends_epoch(step)] == [10, 20]


@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), min_size=1, max_size=9))
def test_what_is_validated_is_bounded_and_never_nothing(sides):
    from unetrt.builder.loop import validation_sample
    from unetrt.data import Sample

    samples = [
        Sample(f"{k}", np.zeros((*size, 1), np.uint8), np.zeros(size, np.uint8))
        for k, size in enumerate(sides)
    ]
    chosen = validation_sample(samples)
    assert 1 <= len(chosen) <= len(samples)
    assert len({one.name for one in chosen}) == len(chosen)
    assert all(one.image.shape[:2] == one.label.shape for one in chosen)
    assert sum(one.label.size for one in chosen) <= 2**22


def curve(*pairs):
    from unetrt.builder.history import Epoch

    return [Epoch(k, 0.5, dice, rate, 0.0, 0.0) for k, (dice, rate) in enumerate(pairs, start=1)]


def test_a_lucky_figure_of_fast_weights_is_not_the_best_once_they_have_settled():
    from unetrt.builder.history import best_epoch

    early = curve((0.80, 3e-3), (0.95, 2.9e-3), (0.90, 2e-3))
    assert best_epoch(early).epoch == 2
    late = curve((0.95, 3e-3), (0.90, 1.4e-3), (0.94, 1e-4), (0.94, 1e-9))
    assert best_epoch(late).epoch == 3
