import pytest

from unetrt.benchmarks.harness import judge, measure_stopwatch


def measured(overhead=500.0, alarms=0, missed=0, ratio=0.9):
    def told(verdicts):
        return [{"verdict": verdict, "ratio": 1.0} for verdict in verdicts]

    same = ["slower"] * alarms + ["cannot be told apart"] * (10 - alarms)
    planted = ["cannot be told apart"] * missed + ["slower"] * (10 - missed)
    return {
        "overhead_ns": overhead,
        "same": told(same),
        "planted": told(planted),
        "ratio": {"harness": ratio, "stopwatch": 0.9},
    }


@pytest.mark.parametrize(
    ("facts", "kept"),
    [
        ({}, [True, True, True, True]),
        ({"alarms": 1, "missed": 1}, [True, True, True, True]),
        ({"overhead": 2000.0}, [False, True, True, True]),
        ({"alarms": 2}, [True, False, True, True]),
        ({"missed": 2}, [True, True, False, True]),
        ({"ratio": 0.96}, [True, True, True, False]),
        ({"ratio": 0.84}, [True, True, True, False]),
    ],
)
def test_each_promise_can_be_missed(facts, kept):
    assert [one.kept for one in judge(measured(**facts))] == kept


def test_the_stopwatch_times_the_same_two_libraries():
    ratio = measure_stopwatch("small", 64, samples=5, words=("--blocks", "1", "--runs", "2"))
    assert set(ratio) == {"harness", "stopwatch"}
    assert min(ratio.values()) > 0
