import os
import time

import numpy as np
import pytest

from tests.fakes.candidates import FakeCandidate, NapCandidate, prediction_of
from unetrt.benchmarks import CallCandidate, MeasureSpec, Reference, Runs, measure
from unetrt.benchmarks.measure import warnings_of
from unetrt.benchmarks.telemetry import Window
from unetrt.errors import BadInput, CheckFailed

RIGHT = Reference("keras", prediction_of(0.1, 0.9))


def test_every_candidate_runs_as_often_as_asked_and_its_warm_up_is_kept_apart():
    a, b = FakeCandidate("a", ns=(1, 2, 3)), FakeCandidate("b")
    taken = measure([a, b], MeasureSpec(samples=54, warmup=3, runs_per_round=10))
    # One untimed run before each turn.
    assert a.turns == b.turns == [3, *[1, 10] * 5, 1, 4]
    assert taken["a"].warmup_ns == (1, 2, 3)
    assert len(taken["a"].host_ns) == 54
    assert [len(ns) for ns in taken["a"].rounds_ns] == [10, 10, 10, 10, 10, 4]
    assert [window.n for window in taken["b"].windows] == [10, 10, 10, 10, 10, 4]
    assert all(w.ended_s >= w.began_s >= 0 for w in taken["b"].windows)


def test_turns_alternate_in_an_order_that_the_seed_fixes():
    class Noting(FakeCandidate):
        def time_runs(self, count):
            seen.append(self.name)
            return super().time_runs(count)

    def order(seed):
        seen.clear()
        measure(
            [Noting(c) for c in "abc"],
            MeasureSpec(samples=40, warmup=0, runs_per_round=1, seed=seed),
        )
        return list(seen)

    seen = []
    assert order(1) == order(1) != order(2)
    text = "".join(order(1)[::2])
    assert all({*text[k : k + 3]} == set("abc") for k in range(0, 120, 3))


def test_stages_stay_in_step_with_the_host_and_nothing_is_clipped():
    slow = FakeCandidate("x", ns=(1000,) * 9 + (9_000_000,), stages={"enqueue": 5, "compute": 100})
    taken = measure([slow], MeasureSpec(samples=30))["x"]
    assert max(taken.host_ns) == 9_000_000
    assert taken.stages_ns == {"enqueue": (5,) * 30, "compute": (100,) * 30}
    assert taken.runs_per_s == pytest.approx(1e9 / np.mean(taken.host_ns))


def test_a_run_that_sleeps_is_as_long_as_it_sleeps():
    taken = measure([NapCandidate(ms=10)], MeasureSpec(samples=3, warmup=0))["nap"]
    assert all(ns >= 10_000_000 for ns in taken.host_ns)


def test_a_call_s_own_time_is_little_beside_a_run():
    call = CallCandidate("nothing", lambda x: x, np.arange(4.0))
    taken = measure([call], MeasureSpec(samples=1000, runs_per_round=100))["nothing"]
    assert len(taken.host_ns) == 1000
    assert min(taken.host_ns) >= 0
    assert np.array_equal(call.predict(), np.arange(4.0))


def test_what_disagrees_is_refused_before_anything_is_timed():
    good = FakeCandidate("good", prediction=prediction_of(0.1, 0.9))
    bad = FakeCandidate("bad", prediction=prediction_of(0.1, 0.89))
    with pytest.raises(CheckFailed, match="bad disagrees with keras and is not timed: got a prob"):
        measure([good, bad], reference=RIGHT)
    assert good.turns == bad.turns == []
    found = measure([good], MeasureSpec(samples=2), reference=RIGHT)["good"].agreement
    assert found.to_json() == {
        "reference": "keras", "max_abs_diff": 0.0, "labels_that_differ": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"samples": 0}, "Cannot measure like this"),
        ({"runs_per_round": 0}, "Cannot measure like this"),
        ({"warmup": -1}, "Cannot measure like this"),
        ({"percentile": 100}, "There is no such percentile: got 100"),
        ({"percentile": 99, "samples": 661}, "The 99th percentile cannot .* expected at least 662"),
    ],
)
def test_a_spec_that_cannot_be_is_refused(fields, words):
    with pytest.raises(BadInput, match=words):
        MeasureSpec(**fields)


def test_the_percentile_chooses_the_number_of_samples():
    counts = {p: MeasureSpec(percentile=p).count for p in (None, 90, 95, 99, 99.9)}
    assert counts == {None: 64, 90: 64, 95: 130, 99: 662, 99.9: 6636}
    assert MeasureSpec(percentile=99, samples=1000).count == 1000


@pytest.mark.parametrize(
    ("samples", "lengths"), [(3, [1] * 3), (20, [4] * 5), (64, [10] * 6 + [4]), (7, [1] * 7)]
)
def test_few_samples_are_taken_in_five_rounds_all_the_same(samples, lengths):
    taken = measure([FakeCandidate("a")], MeasureSpec(samples=samples))["a"]
    assert [len(ns) for ns in taken.rounds_ns] == lengths


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


def window(**fields):
    return Window(began_s=0, ended_s=1, n=100, **fields)


QUIET = Runs((1_000_000,) * 100)


def test_a_quiet_run_brings_no_warning():
    stages = {"enqueue": (10,) * 100, "compute": (100,) * 100}
    idle = window(throttle=("gpu_idle",), load_average=0.1, preemptions=5)
    assert warnings_of(Runs(QUIET.host_ns, stages), [idle]) == []


@pytest.mark.parametrize(
    ("runs", "windows", "words"),
    [
        (Runs((1,) * 9, {"enqueue": (81,) * 9, "compute": (100,) * 9}), [window()],
         "Launching takes 81 % of the time that the GPU computes"),
        (Runs((1,) * 4, {"compute": (100, 110, 100, 110)}), [window()],
         "The GPU times vary by 4.8 %"),
        (Runs((100, 150, 100, 150)), [window()], "The host times vary by 20.0 %"),
        (QUIET, [window(), window(throttled=True, throttle=("gpu_idle", "sw_power_cap"))],
         "The GPU throttled in 1 of 2 windows: sw_power_cap"),
        (QUIET, [window(preemptions=6)], "lost its core 6 times in 100 runs"),
        (QUIET, [window(load_average=100.0 * (os.cpu_count() or 1))], "The machine's load was"),
    ],
)  # fmt: skip
def test_a_warning_is_a_sentence(runs, windows, words):
    (warning,) = warnings_of(runs, windows)
    assert words in warning
