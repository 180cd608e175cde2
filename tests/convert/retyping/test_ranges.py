"""Histograms that grow, and the clip they advise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unetrt.convert.calibration import Histogram
from unetrt.convert.passes.quantize import LARGEST, quantized_weights

arrays = hnp.arrays(
    np.float32, st.integers(1, 50), elements=st.floats(-(2.0**40), 2.0**40, width=32)
)


@given(st.lists(arrays, min_size=1, max_size=5))
def test_every_value_but_zero_is_counted_and_lies_within_the_bins(batches):
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    everything = np.abs(np.concatenate(batches).astype(np.float64))
    assert histogram.counts.sum() == np.count_nonzero(everything)
    reach = histogram.width * histogram.counts.size
    assert everything.max() <= reach * (1 + 1e-9)
    assert 0 <= histogram.clip() <= reach * (1 + 1e-9)


def test_what_is_zero_everywhere_has_a_clip_of_zero():
    histogram = Histogram()
    histogram.add(np.zeros((2, 3), np.float32))
    assert histogram.clip() == 0


def test_a_lone_outlier_is_cut_off_and_an_even_spread_is_not():
    random = np.random.default_rng(0)
    tailed, even = Histogram(), Histogram()
    tailed.add(np.append(random.normal(size=1_000_000), 100))
    even.add(random.uniform(-1, 1, 100_000))
    assert 3 < tailed.clip() < 50
    assert even.clip() == pytest.approx(1, rel=0.02)


def error_at(values, clip):
    step = clip / LARGEST
    quantised = np.clip(np.rint(values / step), -LARGEST, LARGEST) * step
    return np.mean((values - quantised) ** 2)


@pytest.mark.parametrize("draw", ["normal", "laplace", "standard_cauchy", "exponential"])
def test_the_clip_is_near_the_best_there_is(draw):
    values = getattr(np.random.default_rng(1), draw)(size=200_000).clip(-1000, 1000)
    histogram = Histogram()
    for part in np.split(values, 10):
        histogram.add(part)
    best = min(error_at(values, clip) for clip in np.geomspace(0.5, np.abs(values).max(), 60))
    assert error_at(values, histogram.clip()) <= 1.05 * best


@given(
    hnp.arrays(
        np.float32,
        st.tuples(*[st.integers(1, 4)] * 4),
        elements=st.floats(-100, 100, width=16).filter(lambda x: x == 0 or abs(x) > 1e-3),
    ),
    st.sampled_from([0, 1]),
    st.sampled_from([np.float32, np.float16]),
)
def test_int8_weights_are_within_half_a_step_of_the_weights(kernel, axis, dtype):
    kernel = kernel.astype(dtype)
    steps, scale = quantized_weights(kernel, axis)
    assert steps.dtype == np.int8
    assert scale.dtype == dtype
    assert scale.shape == (kernel.shape[axis],)
    assert (scale > 0).all()
    assert np.abs(steps.astype(int)).max() <= LARGEST
    along = scale.astype(np.float64).reshape([-1 if k == axis else 1 for k in range(4)])
    off = np.abs(steps * along - kernel.astype(np.float64))
    assert (off <= along / 2 * (1 + 1e-6)).all()
