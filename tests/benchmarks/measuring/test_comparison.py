import itertools

import numpy as np
import pytest

from tests.fakes.candidates import FakeCandidate
from unetrt.benchmarks import OpenLoop, Plan, Reference, compare_candidates
from unetrt.benchmarks.statistics import Ratio, blocks_of, paired_ratio, unpaired_ratio, verdict
from unetrt.errors import BadInput, ParityError


def simulated(random, arms, rebuilds=3, rounds=8, run=10):
    """Return turns [rebuild][round] of each arm on a machine that drifts under all of them."""
    taken = [[] for _ in arms]
    for _ in range(rebuilds):
        drift = 1 + 0.1 * np.sin(np.linspace(0, random.uniform(1, 9), rounds))
        for arm, scale in enumerate(arms):
            build = scale * (1 + random.normal(0, 0.005))  # kernels chosen otherwise
            turns = []
            for k in range(rounds):
                level = 1e6 * build * drift[k] * (1 + random.normal(0, 0.01))
                turns.append(level * (1 + random.exponential(0.02, run)))
            taken[arm].append(turns)
    return taken


def verdicts(scale, count, seed):
    random = np.random.default_rng(seed)
    for k in range(count):
        a, null, b = simulated(random, (1, 1, scale))
        options = {"seed": k, "resamples": 200}
        yield verdict(paired_ratio(a, b, **options), paired_ratio(a, null, **options))


def test_the_same_is_rarely_called_different_although_the_machine_drifts():
    told = list(verdicts(1.0, 60, seed=1))
    assert told.count("cannot be told apart") >= 57


@pytest.mark.parametrize(("scale", "word"), [(1.1, "slower"), (1 / 1.1, "faster")])
def test_a_tenth_is_found(scale, word):
    told = list(verdicts(scale, 30, seed=2))
    assert told.count(word) >= 29


def test_single_samples_drawn_as_if_independent_would_be_too_sure():
    """Why turns are drawn whole: of the same numbers, one by one, the interval is far narrower."""
    a, b = simulated(np.random.default_rng(3), (1, 1), rebuilds=1, rounds=20)
    whole = paired_ratio(a, b, resamples=200)
    alone = (
        [[[ns] for turn in turns for ns in turn] for turns in a],
        [[[ns] for turn in turns for ns in turn] for turns in b],
    )
    single = paired_ratio(*alone, resamples=200)
    assert single.high - single.low < 0.8 * (whole.high - whole.low)


def test_two_runs_at_two_times():
    random = np.random.default_rng(4)
    a, _, slow = simulated(random, (1, 1, 1.3), rebuilds=1, rounds=20)
    ratio = unpaired_ratio(a[0], slow[0], resamples=300)
    assert ratio.ratio == pytest.approx(1.3, rel=0.1)
    assert verdict(ratio) == "slower"
    assert verdict(unpaired_ratio(a[0], a[0], resamples=300)) == "cannot be told apart"


@pytest.mark.parametrize(
    ("turns", "blocks"), [([range(10)] * 25, 10), ([range(10)] * 7, 7), ([range(64)], 10),
                          ([range(3)], 3)],
)  # fmt: skip
def test_blocks_hold_every_sample_once_in_order(turns, blocks):
    cut = blocks_of(turns)
    assert len(cut) == blocks
    assert list(itertools.chain(*cut)) == list(itertools.chain(*turns))


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


class Builds:
    """A factory that keeps what it made."""

    def __init__(self, name, ms, answer=None):
        self.name, self.ms, self.answer, self.made = name, ms, answer, []

    def __call__(self, rebuild):
        random = np.random.default_rng([len(self.made), round(self.ms * 10)])
        ns = tuple((self.ms * 1e6 * (1 + random.exponential(0.02, 500))).astype(int).tolist())
        self.made.append((rebuild, FakeCandidate(self.name, ns, answer=self.answer)))
        return self.made[-1][1]


def test_each_is_built_anew_the_first_one_twice_and_closed():
    a, b = Builds("a", 1.0), Builds("b", 1.1)
    said = []
    found = compare_candidates(
        {"a": a, "b": b}, Plan(samples=30), rebuilds=3, on_run=said.append
    )  # fmt: skip
    assert [rebuild for rebuild, _ in a.made] == [0, 0, 1, 1, 2, 2]
    assert [rebuild for rebuild, _ in b.made] == [0, 1, 2]
    assert all(made.closed for _, made in (*a.made, *b.made))
    assert list(found) == ["a", "b"]
    assert found["a"].verdict == "cannot be told apart"
    assert found["b"].verdict == "slower"
    assert found["b"].ratio.ratio == pytest.approx(1.1, rel=0.02)
    assert found["b"].null == found["a"].ratio
    assert [len(s.host_ns) for s in found["b"].samples] == [30, 30, 30]
    assert said[-1].startswith("build 3/3, ")


def test_what_disagrees_in_any_build_stops_it_and_everything_is_closed():
    right = np.uint8([[[0, 1]]])
    a, b = Builds("a", 1, right), Builds("b", 1, 1 - right)
    with pytest.raises(ParityError, match="b disagrees with truth"):
        compare_candidates({"a": a, "b": b}, reference=Reference("truth", right))
    assert all(made.closed for _, made in (*a.made, *b.made))


@pytest.mark.parametrize(
    ("names", "options"),
    [("a", {}), ("ab", {"rebuilds": 0}), ("ab", {"plan": Plan(mode=OpenLoop(rate_per_s=1))})],
)
def test_what_cannot_be_compared_is_refused(names, options):
    with pytest.raises(BadInput, match="Cannot compare candidates"):
        compare_candidates({name: Builds(name, 1) for name in names}, **options)
