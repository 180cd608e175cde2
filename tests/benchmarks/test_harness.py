import pytest

from unetrt.benchmarks.harness import judge


def measured(overhead=500.0, alarms=0, missed=0):
    def told(verdicts):
        return [{"verdict": verdict, "ratio": 1.0} for verdict in verdicts]

    same = ["slower"] * alarms + ["cannot be told apart"] * (10 - alarms)
    planted = ["cannot be told apart"] * missed + ["slower"] * (10 - missed)
    return {"overhead_ns": overhead, "same": told(same), "planted": told(planted)}


@pytest.mark.parametrize(
    ("facts", "kept"),
    [
        ({}, [True, True, True]),
        ({"alarms": 1, "missed": 1}, [True, True, True]),
        ({"overhead": 2000.0}, [False, True, True]),
        ({"alarms": 2}, [True, False, True]),
        ({"missed": 2}, [True, True, False]),
    ],
)
def test_each_promise_can_be_missed(facts, kept):
    assert [one["kept"] for one in judge(measured(**facts))] == kept
