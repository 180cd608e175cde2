import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unetrt.benchmarks import Samples, summarize
from unetrt.benchmarks.statistics import (
    Ratio,
    blocks_of,
    fewest_samples,
    own_ratio,
    paired_ratio,
    unpaired_ratio,
    verdict,
)
from unetrt.errors import BadInput

SAME = "cannot be told apart"


def drawn(random, builds=3, rounds=10, slower=1.0, drift=0.0, run=10):
    """Return builds of one program; the machine drifts alike for all who share the rounds."""
    effects = 1 + 0.003 * random.standard_normal(builds)
    walk = 1 + drift * np.linspace(0, 1, builds * rounds).reshape(builds, rounds)
    return [
        [
            (1e6 * slower * effects[k] * walk[k, t] * (1 + random.exponential(0.01, run)))
            .astype(int).tolist()
            for t in range(rounds)
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
def test_the_interval_holds_the_ratio_and_rounds_with_it(a, b):
    found, back = unpaired_ratio([a], [b], resamples=50), unpaired_ratio([b], [a], resamples=50)
    assert 0 < found.low <= found.ratio <= found.high < math.inf
    assert math.isclose(found.ratio * back.ratio, 1)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_one_sample_or_one_round_of_each_says_nothing(a, b):
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


@pytest.mark.parametrize(("rounds", "spread"), [(5, 0.01), (7, 0.01), (7, 0.0), (13, 0.01)])
def test_the_interval_of_few_rounds_holds_the_truth_as_often_as_it_says(rounds, spread):
    random = np.random.default_rng(4)
    held = 0
    for _ in range(100):
        shared = np.cumsum(random.normal(0, 0.02, rounds))
        a, b = (
            [
                (1e6 * np.exp(slow + spread * random.normal() + random.gamma(2, 0.02, 10))).tolist()
                for slow in shared
            ]
            for _ in range(2)
        )
        found = paired_ratio([a], [b], resamples=400)
        held += found.low <= 1 <= found.high
    assert held >= 93


def test_two_rounds_tell_their_own_spread():
    assert paired_ratio([[[100], [100]]], [[[100], [110]]]) == Ratio(1.05, 1.0, pytest.approx(1.1))


def test_rounds_of_several_lengths_are_drawn_whole():
    a, b = [[[100] * 3, [100] * 3, [100]]], [[[110] * 3, [110] * 3, [900]]]
    found = paired_ratio(a, b)
    assert (found.ratio, found.low) == (1.1, 1.1)
    assert found.high > 8


def test_a_run_beside_itself_drifts_as_two_runs_do():
    random = np.random.default_rng(1)
    (still,), (drifting,) = drawn(random, builds=1), drawn(random, builds=1, drift=0.3)
    assert own_ratio(still).noise < 1.02
    assert own_ratio(drifting).noise > 1.1
    assert own_ratio([still[0] + still[1]]).noise < 1.1  # one round, cut into blocks


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


def test_single_samples_drawn_as_if_independent_would_be_too_sure():
    """Draw rounds whole: of the same numbers, one by one, the interval is far narrower."""
    random = np.random.default_rng(3)
    levels = random.normal(1, 0.01, (2, 20, 1))
    one, other = (levels * (1 + random.exponential(0.02, (2, 20, 10)))).tolist()
    whole = paired_ratio([one], [other])
    alone = ([[[ns] for round_ns in side for ns in round_ns]] for side in (one, other))
    single = paired_ratio(*alone)
    assert single.high - single.low < 0.8 * (whole.high - whole.low)


def test_two_runs_at_two_times():
    random = np.random.default_rng(4)
    (a,), (slow,) = drawn(random, builds=1, rounds=20), drawn(random, 1, 20, slower=1.3)
    ratio = unpaired_ratio(a, slow)
    assert ratio.ratio == pytest.approx(1.3, rel=0.1)
    assert verdict(ratio) == "slower"
    assert verdict(unpaired_ratio(a, a)) == SAME


@pytest.mark.parametrize(
    ("rounds", "blocks"), [([range(10)] * 25, 10), ([range(10)] * 7, 7), ([range(64)], 10),
                          ([range(3)], 3)],
)  # fmt: skip
def test_blocks_hold_every_sample_once_in_order(rounds, blocks):
    cut = blocks_of(rounds)
    assert len(cut) == blocks
    assert list(itertools.chain(*cut)) == list(itertools.chain(*rounds))


@pytest.mark.parametrize(
    ("interval", "null", "word"),
    [
        ((1.01, 1.2), None, "slower"),
        ((0.8, 0.99), None, "faster"),
        ((0.99, 1.2), None, "cannot be told apart"),
        ((1.01, 1.2), (0.95, 1.05), "cannot be told apart"),
        ((1.06, 1.2), (0.95, 1.05), "slower"),
        ((1.06, 1.2), (0.95, 0.97), "slower"),
        ((0.96, 0.99), (0.95, 1.05), "cannot be told apart"),
        ((0.8, 0.9), (1.1, 1.2), "cannot be told apart"),  # up once, down next time
        ((0.7, 0.8), (1.1, 1.2), "faster"),
    ],
)
def test_a_difference_must_clear_both_one_and_the_null(interval, null, word):
    null = null and Ratio(1.0, *null)
    assert verdict(Ratio(sum(interval) / 2, *interval), null) == word


@pytest.mark.parametrize(("p", "n"), [(90, 64), (95, 130), (99, 662), (99.9, 6636)])
def test_the_counts_are_loadgen_s(p, n):
    assert fewest_samples(p) == n


@given(st.floats(1, 99.9))
def test_one_sample_fewer_does_not_carry_the_percentile(p):
    def chance(n):  # of at most one of n above it
        q = p / 100
        return q**n + n * q ** (n - 1) * (1 - q)

    n = fewest_samples(p)
    assert chance(n) < 0.01 + 1e-12
    assert n == 2 or chance(n - 1) >= 0.01 - 1e-12


@pytest.mark.parametrize("p", [0, 100, -1, 101, float("nan")])
def test_no_such_percentile(p):
    with pytest.raises(BadInput, match="There is no such percentile"):
        fewest_samples(p)


def summary_of(count):
    ns = tuple(range(1_000_000, 1_000_000 * (count + 1), 1_000_000))
    return summarize(Samples(name="x", host_ns=ns)).to_json()


@pytest.mark.parametrize("p", [90, 99, 99.9])
def test_a_percentile_needs_its_samples(p):
    assert f"p{p:g}" not in summary_of(fewest_samples(p) - 1)
    assert f"p{p:g}" in summary_of(fewest_samples(p))


def test_figures_are_milliseconds_and_nothing_is_clipped():
    samples = Samples(name="x", host_ns=(*[2_000_000] * 99, 900_000_000), warmup_ns=(5,))
    assert summarize(samples).to_json() == pytest.approx(
        {"p50": 2.0, "p90": 2.0, "mean": 10.98, "min": 2.0, "max": 900.0, "n": 100}
    )
