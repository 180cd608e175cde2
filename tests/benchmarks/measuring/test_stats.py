import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetrt.benchmarks import Samples, summarize
from unetrt.benchmarks.statistics import fewest_samples
from unetrt.errors import BadInput


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
