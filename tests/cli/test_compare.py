"""`unetrt compare`: ratios, verdicts, and an exit status for CI."""

import json

import numpy as np
import pytest

from tests.benchmarks.made_records import MACHINE, make_record, make_row
from unetrt.benchmarks import write_record
from unetrt.benchmarks.compare import compare_records
from unetrt.benchmarks.record import Comparison
from unetrt.benchmarks.telemetry import Window


def samples(ms, seed):
    random = np.random.default_rng(seed)
    return (ms * 1e6 * (1 + random.exponential(0.02, 200))).astype(int).tolist()


@pytest.fixture
def files(tmp_path):
    """Write records of rows and return their paths."""

    def written(name, *rows, **fields):
        write_record(make_record(*rows, **fields), tmp_path / name)
        return tmp_path / name

    return written


def row(ms, seed, **fields):
    return make_row(samples(ms, seed), **fields)


def drifting(seed, slower=1.0, turns=20, run=10):
    """Return a row of turns during which the machine becomes slower by up to a third."""
    random = np.random.default_rng(seed)
    level = 1e6 * slower * np.linspace(1, 1 + random.uniform(0, 1 / 3), turns)[:, None]
    host = (level * (1 + random.exponential(0.02, (turns, run)))).astype(int).ravel().tolist()
    return make_row(
        host, windows=tuple(Window(began_s=k, ended_s=k + 1, n=run) for k in range(turns))
    )


def test_the_same_passes_and_a_slow_down_fails_by_its_lower_end(unetrt, files):
    old = files("old.json", row(10, 1), row(5, 2, precision="fp16"))
    same = files("same.json", row(10, 3), row(5, 4, precision="fp16"))
    slow = files("slow.json", row(11, 5), row(5, 6, precision="fp16"))
    assert unetrt("compare", old, same, "--fail-above", "5%").exit_code == 0
    assert unetrt("compare", old, slow).exit_code == 0
    assert unetrt("compare", old, slow, "--fail-above", "15%").exit_code == 0
    failed = unetrt("compare", old, slow, "--fail-above", "5%")
    assert failed.exit_code == 1
    assert "error: 1 of 2 rows are slower beyond doubt: got article/fp32/onnxruntime" in (
        failed.output
    )
    assert "expected at most 1.05" in failed.output
    told = json.loads(unetrt("compare", old, slow, "--fail-above", "5", "--json").stdout)
    assert told["type"] == "CheckFailed"
    slowed, kept = told["result"]["rows"]
    assert (slowed["verdict"], slowed["failed"], kept["failed"]) == ("slower", True, False)
    assert 1.05 < slowed["low"] < slowed["ratio"] < slowed["high"] < 1.15


def test_faster_is_said_and_does_not_fail(unetrt, files):
    run = unetrt("compare", files("a.json", row(10, 1)), files("b.json", row(8, 2)),
                 "--fail-above", "0", "--json")  # fmt: skip
    assert run.exit_code == 0
    assert json.loads(run.stdout)["rows"][0]["verdict"] == "faster"


def test_a_difference_within_the_record_s_own_null_is_none(unetrt, files):
    one, other = row(10, 1), row(5, 2, precision="fp16")
    null = Comparison(a=one.id, b=other.id, ratio=0.5, low=0.5, high=0.5, null_low=0.8,
                        null_high=1.2, rebuilds=3, verdict="faster")  # fmt: skip
    old = files("old.json", one, other, comparisons=(null,))
    new = files("new.json", row(11, 3))
    found = json.loads(unetrt("compare", old, new, "--fail-above", "5%", "--json").stdout)
    assert found["rows"][0]["verdict"] == "cannot be told apart"
    assert found["only_old"] == [other.id]


def test_a_null_that_went_one_way_counts_the_other_way_too(unetrt, files):
    one = row(10, 1)
    null = Comparison(a=one.id, b="other", ratio=1.0, low=0.9, high=1.1, null_low=0.8,
                        null_high=1.0, rebuilds=3, verdict="cannot be told apart")  # fmt: skip
    old, new = files("old.json", one, comparisons=(null,)), files("new.json", row(11, 2))
    (line,) = json.loads(unetrt("compare", old, new, "--json").stdout)["rows"]
    assert (line["null_low"], line["verdict"]) == (0.8, "cannot be told apart")
    assert 1 < line["null_high"] < line["low"]  # what the row's own turns came to


def test_two_records_of_a_drifting_machine_are_rarely_called_different():
    said = [
        compare_records(make_record(drifting(seed)), make_record(drifting(seed + 100)))
        for seed in range(20)
    ]
    told = [found.changes[0].verdict for found in said]
    assert told.count("cannot be told apart") >= 19
    doubled = compare_records(make_record(drifting(1)), make_record(drifting(101, slower=2)))
    assert doubled.changes[0].verdict == "slower"


def test_one_sample_each_is_no_verdict(unetrt, files):
    old, new = files("a.json", make_row((1,))), files("b.json", make_row((9,)))
    run = unetrt("compare", old, new, "--json", "--fail-above", "5%")
    assert run.exit_code == 0
    (line,) = json.loads(run.stdout)["rows"]
    assert (line["ratio"], line["low"], line["high"]) == (9, 0, None)
    assert (line["null_high"], line["verdict"]) == (None, "cannot be told apart")
    assert "unknown" in unetrt("compare", old, new).stdout


def test_rows_of_one_file_are_listed_and_what_else_differs_is_named(unetrt, files):
    old = files("old.json", row(10, 1), row(10, 1, batch=2))
    new = files("new.json", row(10, 2, configuration={"threads": 1}), row(10, 1, batch=4))
    run = unetrt("compare", old, new)
    assert run.exit_code == 0
    assert f"Only in {old}: article/fp32/onnxruntime/2x64x64x1" in run.stdout
    assert f"Only in {new}: article/fp32/onnxruntime/4x64x64x1" in run.stdout
    assert "1x64x64x1/core/serialised: another configuration\n" in run.stdout


def test_another_machine_is_said_loudly(unetrt, files):
    other = MACHINE | {"cpu": "another CPU", "packages": {"numpy": "2.5"}}
    old = files("old.json", row(10, 1))
    new = files("new.json", row(10, 2), machine=other)
    run = unetrt("compare", old, new)
    assert run.stdout.startswith("ANOTHER MACHINE: the ratios below compare machines")
    assert "cpu: a CPU -> another CPU" in run.stdout
    assert "numpy: 2.4 -> 2.5" in run.stdout
    found = json.loads(unetrt("compare", old, new, "--json").stdout)
    assert found["machine"] == {"cpu": ["a CPU", "another CPU"]}


def test_what_cannot_be_compared_is_said_in_a_sentence(unetrt, files, tmp_path):
    good = files("good.json", row(10, 1))
    stranger = tmp_path / "stranger.json"
    stranger.write_text('{"a": 1}')
    later = tmp_path / "later.json"
    later.write_text(json.dumps(json.loads(good.read_text()) | {"schema": 9}))
    for other, words in (
        (tmp_path / "none.json", "There is no file"),
        (stranger, "is not the record of a benchmark"),
        (later, "is a record of another version: got schema 9, expected schema 1"),
        (files("else.json", row(1, 1, network="paper")), "The two records have no row in common"),
    ):
        run = unetrt("compare", good, other)
        assert (run.exit_code, words in run.output) == (2, True), run.output


@pytest.mark.parametrize("limit", ["five", "-1%", "nan", "inf%"])
def test_a_limit_is_a_percentage(unetrt, files, limit):
    good = files("good.json", row(10, 1))
    run = unetrt("compare", good, good, f"--fail-above={limit}")
    assert (run.exit_code, "expected percents, such as 5%" in run.output) == (2, True)
