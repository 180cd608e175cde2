import numpy as np
import pytest

from tests.fakes.candidates import FakeCandidate
from unetrt.benchmarks import MeasureSpec, OpenLoop, Reference, compare_candidates
from unetrt.errors import BadInput, ParityError


class Builds:
    """A factory that keeps what it made."""

    def __init__(self, name, ms, prediction=None):
        self.name, self.ms, self.prediction, self.made = name, ms, prediction, []

    def __call__(self, rebuild):
        random = np.random.default_rng([len(self.made), round(self.ms * 10)])
        ns = tuple((self.ms * 1e6 * (1 + random.exponential(0.02, 500))).astype(int).tolist())
        self.made.append((rebuild, FakeCandidate(self.name, ns, prediction=self.prediction)))
        return self.made[-1][1]


def test_each_is_built_anew_the_first_one_twice_and_closed():
    a, b = Builds("a", 1.0), Builds("b", 1.1)
    said = []
    found = compare_candidates(
        {"a": a, "b": b}, MeasureSpec(samples=30), rebuilds=3, on_run=said.append
    )
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
    [
        ("a", {}),
        ("ab", {"rebuilds": 0}),
        ("ab", {"spec": MeasureSpec(mode=OpenLoop(rate_per_s=1))}),
    ],
)
def test_what_cannot_be_compared_is_refused(names, options):
    with pytest.raises(BadInput, match="Cannot compare candidates"):
        compare_candidates({name: Builds(name, 1) for name in names}, **options)
