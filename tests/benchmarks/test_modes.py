import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.candidates import FakeCandidate, NapCandidate
from unetrt.benchmarks import MeasureSpec, OpenLoop, Paced, Pipelined, measure
from unetrt.errors import BadInput


def test_open_loop_counts_the_queue():
    # Four arrivals at once, each served in 5 ms or more: the fourth waits for three.
    taken = OpenLoop(rate_per_s=1e6).time_runs(NapCandidate(ms=5), 4)
    served = np.cumsum(taken.stages_ns["service"])
    for latency, since_start in zip(taken.host_ns, served, strict=True):
        assert latency >= since_start - 5_000
    assert taken.host_ns[3] >= 20_000_000


def test_open_loop_below_its_capacity_queues_nothing_and_brings_no_warning():
    mode = OpenLoop(rate_per_s=100)
    taken = mode.time_runs(FakeCandidate(ns=(1_000_000,)), 5)
    assert mode.warnings([taken]) == []
    assert mode.runs_per_s([taken]) <= 125 + 1  # five in four gaps


def test_a_rate_above_the_capacity_is_said():
    mode = OpenLoop(rate_per_s=2000)
    taken = measure([NapCandidate(ms=2)], MeasureSpec(samples=10, warmup=1, mode=mode))["nap"]
    assert len(taken.windows) == 1  # all in one round: the queue must grow
    assert any("the queue grows as long as one measures" in warning for warning in taken.warnings)
    assert taken.runs_per_s < 500


@given(st.floats(0.1, 1e5), st.integers(1, 200), st.sampled_from(["constant", "poisson"]))
def test_arrivals_come_at_their_rate(rate, count, arrivals):
    mode = OpenLoop(rate_per_s=rate, arrivals=arrivals, seed=count)
    times = mode.schedule_ns(count)
    assert (len(times), times[0]) == (count, 0)
    assert list(times) == sorted(times)
    assert times == mode.schedule_ns(count)
    if arrivals == "constant":
        assert times[-1] == pytest.approx((count - 1) * 1e9 / rate, abs=1)


def test_poisson_gaps_are_exponential():
    gaps = np.diff(OpenLoop(rate_per_s=100, arrivals="poisson", seed=3).schedule_ns(20_001)) / 1e6
    assert gaps.mean() == pytest.approx(10, rel=0.03)
    assert gaps.std() == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("fields", [{"rate_per_s": 0}, {"rate_per_s": 1, "arrivals": "bursts"}])
def test_arrivals_that_cannot_be_are_refused(fields):
    with pytest.raises(BadInput, match="Cannot let runs arrive"):
        OpenLoop(**fields)


def test_a_gap_before_each_run_is_in_no_sample():
    candidate = FakeCandidate(ns=(7,))
    taken = Paced(gap_ms=1).time_runs(candidate, 3)
    assert taken.host_ns == (7, 7, 7)
    assert candidate.turns == [1, 1, 1]
    with pytest.raises(BadInput, match="Cannot pace runs"):
        Paced(gap_ms=0)


def test_what_cannot_overlap_is_not_pipelined():
    with pytest.raises(BadInput, match="fake cannot have two runs in flight"):
        measure([FakeCandidate()], MeasureSpec(mode=Pipelined()))
