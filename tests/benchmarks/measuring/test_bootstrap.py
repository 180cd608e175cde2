import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetrt.benchmarks.statistics import Ratio, own_ratio, paired_ratio, unpaired_ratio, verdict

SAME = "cannot be told apart"


def drawn(random, builds=3, turns=10, slower=1.0, drift=0.0, run=10):
    """Return builds of one program; the machine drifts alike for all who took turns."""
    effects = 1 + 0.003 * random.standard_normal(builds)
    walk = 1 + drift * np.linspace(0, 1, builds * turns).reshape(builds, turns)
    return [
        [
            (1e6 * slower * effects[k] * walk[k, t] * (1 + random.exponential(0.01, run)))
            .astype(int).tolist()
            for t in range(turns)
        ]
        for k in range(builds)
    ]  # fmt: skip


def said(random, slower, **kinds):
    a, b = drawn(random, **kinds), drawn(random, slower=slower, **kinds)
    null = paired_ratio(a, drawn(random, **kinds), resamples=300)
    return verdict(paired_ratio(a, b, resamples=300), null)


@pytest.mark.parametrize("kinds", [{}, {"drift": 0.3}, {"builds": 1, "drift": 0.3}])
def test_the_same_program_is_rarely_told_apart_however_the_machine_drifts(kinds):
    random = np.random.default_rng(7)
    assert [said(random, 1.0, **kinds) for _ in range(20)].count(SAME) >= 19


@pytest.mark.parametrize("kinds", [{"drift": 0.3}, {"builds": 1, "drift": 0.3}])
@pytest.mark.parametrize(("slower", "word"), [(1.1, "slower"), (1 / 1.1, "faster")])
def test_a_tenth_is_found(kinds, slower, word):
    random = np.random.default_rng(3)
    assert [said(random, slower, **kinds) for _ in range(20)].count(word) >= 19


def test_slow_minutes_that_both_shared_fall_out():
    random = np.random.default_rng(5)
    a, b = (drawn(random, builds=1, drift=1.0) for _ in range(2))
    together, apart = paired_ratio(a, b), unpaired_ratio(a[0], b[0])
    assert together.high - together.low < 0.1
    assert apart.high - apart.low > 2 * (together.high - together.low)


lists = st.lists(st.integers(0, 10**9), min_size=2, max_size=40)


@settings(max_examples=30, deadline=None)
@given(lists, lists)
def test_the_interval_holds_the_ratio_and_turns_with_it(a, b):
    found, back = unpaired_ratio([a], [b], resamples=50), unpaired_ratio([b], [a], resamples=50)
    assert 0 < found.low <= found.ratio <= found.high < math.inf
    assert math.isclose(found.ratio * back.ratio, 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_one_sample_or_one_turn_of_each_says_nothing(a, b):
    ratio = max(1, b) / max(1, a)  # a clock may not have ticked
    for found in (
        paired_ratio([[[a]]], [[[b]]]),
        paired_ratio([[[a] * 9]], [[[b] * 9]]),
        unpaired_ratio([[a]], [[b]]),
        unpaired_ratio([[a] * 9], [[b]]),
    ):
        assert found == Ratio(ratio, 0.0, math.inf)
        assert verdict(found) == verdict(found, Ratio(1, 0.99, 1.01)) == SAME
    assert own_ratio([[a]]) == Ratio(1.0, 0.0, math.inf)
    assert verdict(Ratio(9, 8, 10), own_ratio([[a]])) == SAME


def test_few_turns_are_less_sure_than_their_spread():
    a, b = [[[100], [100]]], [[[100], [110]]]
    # Of two drawn turns, one in four is twice the first, and one in four twice the second.
    ratio, edge = 1.05, math.sqrt(2)
    assert paired_ratio(a, b) == Ratio(
        ratio,
        pytest.approx(ratio * (1 / ratio) ** edge),
        pytest.approx(ratio * (1.1 / ratio) ** edge),
    )


def test_a_run_beside_itself_drifts_as_two_runs_do():
    random = np.random.default_rng(1)
    (still,), (drifting,) = drawn(random, builds=1), drawn(random, builds=1, drift=0.3)
    assert own_ratio(still).noise < 1.02
    assert own_ratio(drifting).noise > 1.1
    assert own_ratio([still[0] + still[1]]).noise < 1.1  # one turn, cut into blocks


@pytest.mark.parametrize(
    ("interval", "noise"),
    [((0.99, 1.2), 1.2), ((0.8, 1.0), 1.25), ((0.5, 0.8), 2), ((1.1, 1.2), 1.2),
     ((1, 1), 1), ((0, math.inf), math.inf), ((0, 1), math.inf)],
)  # fmt: skip
def test_noise_counts_both_ways(interval, noise):
    assert Ratio(1.0, *interval).noise == pytest.approx(noise)


def test_joined_intervals_hold_both():
    assert Ratio(1, 0.9, 1.1).joined(Ratio(2, 0.95, 1.2)) == Ratio(1, 0.9, 1.2)


def test_the_same_seed_gives_the_same_interval():
    random = np.random.default_rng(1)
    a, b = drawn(random), drawn(random)
    assert paired_ratio(a, b, resamples=50) == paired_ratio(a, b, resamples=50)
    assert paired_ratio(a, b, resamples=50) != paired_ratio(a, b, resamples=50, seed=1)
