import time

import numpy as np
import pytest

from tests.fakes.candidates import FakeCandidate, NapCandidate, answer_of
from unetrt.benchmarks import CallCandidate, Plan, Reference, measure
from unetrt.errors import BadInput, CheckFailed

RIGHT = Reference("keras", answer_of(0.1, 0.9))


def test_every_candidate_runs_as_planned_and_its_warm_up_is_kept_apart():
    a, b = FakeCandidate("a", ns=(1, 2, 3)), FakeCandidate("b")
    taken = measure([a, b], Plan(samples=25, warmup=3, run_length=10))
    # One untimed run before each turn.
    assert a.turns == b.turns == [3, 1, 10, 1, 10, 1, 5]
    assert taken["a"].warmup_ns == (1, 2, 3)
    assert len(taken["a"].host_ns) == 25
    assert [len(turn) for turn in taken["a"].rounds_ns] == [10, 10, 5]
    assert [window.n for window in taken["b"].windows] == [10, 10, 5]
    assert all(w.ended_s >= w.began_s >= 0 for w in taken["b"].windows)


def test_turns_alternate_in_an_order_that_the_seed_fixes():
    class Noting(FakeCandidate):
        def turn(self, count):
            seen.append(self.name)
            return super().turn(count)

    def order(seed):
        seen.clear()
        measure([Noting(c) for c in "abc"], Plan(samples=40, warmup=0, run_length=1, seed=seed))
        return list(seen)

    seen = []
    assert order(1) == order(1) != order(2)
    text = "".join(order(1)[::2])
    assert all({*text[k : k + 3]} == set("abc") for k in range(0, 120, 3))


def test_stages_stay_in_step_with_the_host_and_nothing_is_clipped():
    slow = FakeCandidate("x", ns=(1000,) * 9 + (9_000_000,), stages={"enqueue": 5, "compute": 100})
    taken = measure([slow], Plan(samples=30))["x"]
    assert max(taken.host_ns) == 9_000_000
    assert taken.stages_ns == {"enqueue": (5,) * 30, "compute": (100,) * 30}
    assert taken.runs_per_s == pytest.approx(1e9 / np.mean(taken.host_ns))


def test_a_run_that_sleeps_is_as_long_as_it_sleeps():
    taken = measure([NapCandidate(ms=10)], Plan(samples=3, warmup=0))["nap"]
    assert all(ns >= 10_000_000 for ns in taken.host_ns)


def test_a_call_s_own_time_is_little_beside_a_run():
    call = CallCandidate("nothing", lambda x: x, np.arange(4.0))
    taken = measure([call], Plan(samples=1000, run_length=100))["nothing"]
    assert len(taken.host_ns) == 1000
    assert min(taken.host_ns) >= 0
    assert np.array_equal(call.answer(), np.arange(4.0))


def test_what_disagrees_is_refused_before_anything_is_timed():
    good = FakeCandidate("good", answer=answer_of(0.1, 0.9))
    bad = FakeCandidate("bad", answer=answer_of(0.1, 0.89))
    with pytest.raises(CheckFailed, match="bad disagrees with keras and is not timed: got a prob"):
        measure([good, bad], reference=RIGHT)
    assert good.turns == bad.turns == []
    found = measure([good], Plan(samples=2), reference=RIGHT)["good"].agreement
    assert found.to_json() == {
        "reference": "keras", "max_abs_diff": 0.0, "labels_that_differ": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"samples": 0}, "Cannot measure by this plan"),
        ({"run_length": 0}, "Cannot measure by this plan"),
        ({"warmup": -1}, "Cannot measure by this plan"),
        ({"percentile": 100}, "There is no such percentile: got 100"),
        ({"percentile": 99, "samples": 661}, "The 99th percentile cannot .* expected at least 662"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(fields, words):
    with pytest.raises(BadInput, match=words):
        Plan(**fields)


def test_the_percentile_chooses_the_number_of_samples():
    assert [Plan(percentile=p).count for p in (None, 90, 95, 99, 99.9)] == [64, 64, 130, 662, 6636]
    assert Plan(percentile=99, samples=1000).count == 1000


def test_candidates_that_cannot_be_told_apart_are_refused():
    with pytest.raises(BadInput, match="Cannot tell the candidates apart: got fake"):
        measure([FakeCandidate(), FakeCandidate()])
    with pytest.raises(BadInput, match="nothing to time"):
        measure([])


def test_the_clock_waits_until_its_time(monkeypatch):
    from unetrt.benchmarks.telemetry import now_ns, wait_until

    deadline = now_ns() + 3_000_000
    wait_until(deadline)
    assert now_ns() >= deadline
    monkeypatch.setattr(time, "sleep", lambda _s: pytest.fail("waited for what is past"))
    wait_until(deadline)
