import time

import pytest

from unetrt.benchmarks import Plan, Samples, measure, summarize
from unetrt.benchmarks.stats import FEWEST_SAMPLES
from unetrt.errors import BadInput


def test_every_candidate_is_called_as_planned_and_its_warm_up_kept_apart():
    calls = {"a": 0, "b": 0}

    def call(name):
        calls[name] += 1

    plan = Plan(samples=25, warmup=3, run_length=10)
    taken = measure({name: lambda name=name: call(name) for name in calls}, plan)
    # Of each, besides what is kept, one untimed call for each of three turns.
    assert calls == {"a": 3 + 25 + 3, "b": 3 + 25 + 3}
    for samples in taken.values():
        assert (len(samples.latency_ns), len(samples.warmup_ns)) == (25, 3)


def test_turns_alternate_in_an_order_that_the_seed_fixes():
    def order(seed):
        seen = []
        candidates = {name: lambda name=name: seen.append(name) for name in "abc"}
        measure(candidates, Plan(samples=40, warmup=0, run_length=1, seed=seed))
        return seen

    assert order(1) == order(1) != order(2)
    assert "a" * 20 not in "".join(order(1))


@pytest.mark.parametrize("fields", [{"samples": 0}, {"run_length": 0}, {"warmup": -1}])
def test_a_plan_that_measures_nothing_is_refused(fields):
    with pytest.raises(BadInput, match="Cannot measure by this plan"):
        Plan(**fields)


def test_a_call_that_sleeps_is_as_long_as_it_sleeps():
    taken = measure({"nap": lambda: time.sleep(0.01)}, Plan(samples=3, warmup=0))
    assert all(ns >= 10_000_000 for ns in taken["nap"].latency_ns)


def summary_of(count):
    return summarize(Samples("x", tuple(range(1_000_000, 1_000_000 * (count + 1), 1_000_000)), ()))


@pytest.mark.parametrize("p", [90, 99])
def test_a_percentile_needs_its_samples(p):
    name = f"p{p}"
    assert name not in summary_of(FEWEST_SAMPLES[p] - 1).to_json()
    assert name in summary_of(FEWEST_SAMPLES[p]).to_json()


def test_figures_are_milliseconds_and_nothing_is_clipped():
    figures = summarize(Samples("x", (*[2_000_000] * 99, 900_000_000), (5,))).to_json()
    assert figures == {"p50": 2.0, "p90": 2.0, "min": 2.0, "max": 900.0, "n": 100}
