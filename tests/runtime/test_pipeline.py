"""Order is kept, failures are reported, and never more than a few items are held."""

import threading
import time

import pytest

from tests.processes import comes_true
from unetrt.errors import DataError, OutputError
from unetrt.runtime.predict import pipelined


def _same(x):
    return x


def test_results_come_in_the_order_of_the_items():
    def write(x):
        time.sleep(0.002 * (x % 3))
        return 10 * x

    assert list(pipelined(range(20), read=_same, work=_same, write=write)) == [
        (x, 10 * x) for x in range(20)
    ]


@pytest.mark.parametrize("stage", ["read", "work", "write"])
def test_an_item_that_fails_is_reported_in_its_place(stage):
    def fails(x):
        if x == 2:
            raise DataError("no good")
        return x

    stages = {"read": _same, "work": _same, "write": _same} | {stage: fails}
    results = list(pipelined(range(5), **stages))
    assert [item for item, _ in results] == [0, 1, 2, 3, 4]
    assert isinstance(results[2][1], DataError)
    assert [result for item, result in results if item != 2] == [0, 1, 3, 4]


def test_a_place_that_cannot_be_written_stops_the_rest():
    def write(x):
        raise OutputError("full")

    with pytest.raises(OutputError, match="full"):
        list(pipelined(range(100), read=_same, work=_same, write=write))


def test_reading_goes_on_while_the_network_works_but_not_far_ahead():
    began, held = [], []

    def read(x):
        began.append(x)
        return x

    def work(x):
        assert comes_true(lambda: len(began) > x + 1 or x == 39)
        held.append(len(began) - x)
        return x

    results = pipelined(range(40), read=read, work=work, write=_same)
    next(results)
    assert len(began) < 15
    list(results)
    assert max(held) <= 6


def test_work_stays_in_the_callers_thread_and_the_rest_does_not():
    threads = {}

    def named(name):
        def stage(x):
            threads.setdefault(name, set()).add(threading.current_thread())
            return x

        return stage

    list(pipelined(range(5), **{name: named(name) for name in ("read", "work", "write")}))
    assert threads["work"] == {threading.current_thread()}
    assert threading.current_thread() not in threads["read"] | threads["write"]


def test_a_caller_that_stops_early_leaves_no_thread():
    before = threading.active_count()
    results = pipelined(range(100), read=_same, work=_same, write=_same)
    next(results)
    results.close()
    assert threading.active_count() == before
