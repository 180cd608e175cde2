import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.made_records import make_record, make_row
from unetrt.benchmarks.matrix import matrix as module
from unetrt.benchmarks.matrix.matrix import NO_TIME, CaseResult, ChildTimer, run_matrix
from unetrt.benchmarks.matrix.matrix_spec import MatrixSpec, cases_of
from unetrt.benchmarks.processes import ChildResult
from unetrt.benchmarks.record import Failure

CASES = cases_of(
    MatrixSpec(
        backends=("a", "b"), networks=("article",), batches=(1, 4), precisions=("fp32", "fp16")
    )
)


class Clock:
    """Stands still but for what is spent."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def empty():
    return replace(make_record(), rows=())


def run(record, time_case, minutes=60.0, keep=lambda _record: None, clock=None):
    """Return the grown record, and what was said."""
    said = []
    grown = run_matrix(
        CASES, record, time_case, minutes=minutes, keep=keep, say=said.append,
        clock=clock or Clock(),
    )  # fmt: skip
    return grown, said


def row_of(spec):
    return make_row(
        network=spec.network, precision=spec.precision, backend=spec.backend, batch=spec.batch,
        height=spec.side, width=spec.side, scope=spec.scope,
    )  # fmt: skip


def all_well(case, _share, _left):
    return CaseResult(rows=[row_of(spec) for spec in case.rows])


def ids(entries):
    return [entry.id for entry in entries]


def test_every_row_is_a_row_or_a_failure_with_its_reason():
    def one_fails(case, _share, _left):
        first, *rest = case.rows
        return CaseResult([row_of(spec) for spec in rest], failures=[Failure(first.id, "x")])

    record, said = run(empty(), one_fails)
    wanted = {spec.id for case in CASES for spec in case.rows}
    assert set(ids(record.rows)) | set(ids(record.failures)) == wanted
    assert len(record.failures) == len(CASES) == len(said)
    assert "7 timed, 1 not" in said[0]


def test_a_case_has_twice_its_even_share_and_the_last_ones_all_that_is_left():
    shares = []

    def noted(case, share, left):
        shares.append(share / left)
        return all_well(case, share, left)

    run(empty(), noted)
    assert shares == pytest.approx([2 / 6, 2 / 5, 2 / 4, 2 / 3, 1, 1])


def test_the_record_is_kept_after_every_case():
    kept = []
    run(empty(), all_well, keep=kept.append)
    assert [len(record.rows) for record in kept] == [8 * k for k in range(1, len(CASES) + 1)]


def test_a_kill_loses_one_case_and_what_is_done_is_not_done_again():
    kept, timed = [], []

    def killed(case, share, left):
        if len(timed) == 3:
            raise KeyboardInterrupt
        timed.append(case.title)
        return all_well(case, share, left)

    with pytest.raises(KeyboardInterrupt):
        run(empty(), killed, keep=kept.append)
    again = []

    def noted(case, share, left):
        again.append(case.title)
        return all_well(case, share, left)

    resumed, said = run(kept[-1], noted)
    assert not set(timed) & set(again)
    assert len(timed) + len(again) == len(CASES)
    assert "done before" in said[0]
    assert len(ids(resumed.rows)) == len(set(ids(resumed.rows))) == 8 * len(CASES)


def test_what_time_leaves_out_says_so_and_is_tried_in_a_later_run():
    clock = Clock()

    def slow(case, share, left):
        clock.now += 40
        return all_well(case, share, left)

    record, _ = run(empty(), slow, minutes=1, clock=clock)
    assert len(record.rows) == 2 * 8
    assert {failure.reason for failure in record.failures} == {NO_TIME}
    assert len(record.failures) == 8 * (len(CASES) - 2)
    record, _ = run(record, all_well)
    assert record.failures == ()
    assert len(record.rows) == 8 * len(CASES)


def test_rows_that_a_case_had_no_time_for_are_listed_too():
    record, _ = run(empty(), lambda case, *_: CaseResult(rows=[row_of(case.rows[0])]))
    assert len(record.failures) == 7 * len(CASES)


class Children:
    """Stands in for children; a row whose id holds a word of `deadly` kills its child."""

    def __init__(self, deadly=(), *, while_timing=False):
        self.deadly, self.while_timing, self.asked = deadly, while_timing, []

    def __call__(self, _module, arguments, _folder, _timeout_s):
        words = dict(zip(arguments[::2], arguments[1::2], strict=True))
        specs = [module.RowSpec(**fields) for fields in json.loads(words["--rows"])]
        self.asked.append([spec.id for spec in specs])
        for spec in specs:
            if any(word in spec.id for word in self.deadly):
                at = "" if self.while_timing else spec.id
                return ChildResult({"at": at}, "killed by signal 9")
        return ChildResult(CaseResult(rows=[row_of(spec) for spec in specs]).to_json(), None)


@pytest.fixture
def children(monkeypatch):
    def use(*deadly, while_timing=False):
        made = Children(deadly, while_timing=while_timing)
        monkeypatch.setattr(module, "run_child", made)
        return made

    return use


def timed(children):
    found = ChildTimer(Path("work"), clock=Clock())(CASES[0], 10, 100)
    return set(ids(found.rows)), {failure.id: failure.reason for failure in found.failures}


def test_a_case_is_one_child_where_nothing_dies(children):
    made = children()
    rows, failures = timed(made)
    assert (len(rows), failures, len(made.asked)) == (8, {}, 1)


def test_the_row_at_which_a_child_died_is_the_failure_and_the_others_are_timed(children):
    made = children("fp16/b/1x512x512x1/core")
    rows, failures = timed(made)
    assert failures == {"article/fp16/b/1x512x512x1/core/serialised": "killed by signal 9"}
    assert len(rows) == 7
    assert len(made.asked) == 2


def test_where_a_child_died_while_timing_each_row_is_timed_alone(children):
    made = children("fp16/b", while_timing=True)
    rows, failures = timed(made)
    assert len(rows) == 6
    at = "article/fp16/b/1x512x512x1"
    assert set(failures) == {f"{at}/core/serialised", f"{at}/end_to_end/serialised"}
    assert len(made.asked) == 1 + 8


def test_where_every_child_dies_it_ends_all_the_same(children):
    made = children("article")
    rows, failures = timed(made)
    assert (len(rows), len(failures)) == (0, 8)
    assert len(made.asked) == 8


def test_a_child_that_fails_before_it_says_anything_is_a_failure_of_each(children, monkeypatch):
    monkeypatch.setattr(module, "run_child", lambda *_: ChildResult({}, "No module named onnx"))
    _, failures = timed(None)
    assert set(failures.values()) == {"No module named onnx"}
    assert len(failures) == 8
