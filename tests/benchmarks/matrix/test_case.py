import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.benchmarks.made_records import make_record
from tests.test_repository import ROOT
from unetrt.benchmarks.agreement import Agreement
from unetrt.benchmarks.candidates import Runs
from unetrt.benchmarks.inputs import random_input
from unetrt.benchmarks.matrix.case import (
    CaseTimer,
    CheckedRow,
    ParityGate,
    samples_within,
    time_case,
)
from unetrt.benchmarks.matrix.matrix import NO_TIME
from unetrt.benchmarks.matrix.matrix_spec import MatrixSpec, cases_of
from unetrt.benchmarks.rows import Facts
from unetrt.errors import NoDevice, ParityError, UnsupportedModel

ROWS = cases_of(
    MatrixSpec(
        backends=("a", "b"), networks=("article",), batches=(1,), precisions=("fp32", "fp16")
    )
)[0].rows
SHAPE = (1, 4, 4, 2)
PREDICTION = np.linspace(0, 1, 32, dtype=np.float32).reshape(SHAPE)
PIXELS = random_input(batch=1, height=512, width=512, channels=1, seed=0)


def facts(spec):
    """Describe a row as one that runs on a CPU in float32."""
    named = {name: getattr(spec, name) for name in ("network", "precision", "backend")}
    return Facts(**named, device="CPU", computes_in="float32")


class FakeCandidate:
    def __init__(self, name, precision, prediction):
        self.name, self.precision, self._prediction = name, precision, prediction

    def predict(self):
        return self._prediction

    def time_runs(self, count):
        return Runs((1000,) * count)

    def close(self):
        pass


class FakeOpened:
    def __init__(self, spec, prediction, closed):
        self.facts = facts(spec)
        self.limit = None
        self._spec, self._prediction, self._closed = spec, prediction, closed

    def candidate(self, spec):
        if (spec.backend, spec.scope) == ("b", "end_to_end"):
            raise UnsupportedModel("b has no end to end")
        prediction = self._prediction if spec.scope == "core" else self._prediction.argmax(-1)
        return FakeCandidate(spec.id, spec.precision, prediction)

    def close(self):
        self._closed.append(self._spec.backend + self._spec.precision)


def timed_case(predictions=None, error=None):
    """Time ROWS; `predictions` by backend and precision."""
    closed, notes, scopes = [], [], []

    def open_network(spec):
        if error is not None and spec.backend == "b":
            raise error
        key = spec.backend + spec.precision
        return FakeOpened(spec, (predictions or {}).get(key, PREDICTION), closed)

    timer = CaseTimer(PIXELS, samples=5, seconds=100, scopes=2)

    def time_scope(sharing):
        scopes.append(set(sharing))
        return timer(sharing)

    found = time_case(ROWS, open_network, time_scope, lambda at, _found: notes.append(at))
    return found, closed, notes, scopes


def test_those_of_a_scope_are_timed_together_and_all_are_closed():
    found, closed, notes, scopes = timed_case()
    assert [len(names) for names in scopes] == [4, 2]
    assert len(found.rows) == 6
    assert {f.reason for f in found.failures} == {"b has no end to end."}
    # Of each library one is opened again for each scope: its A/A run.
    assert sorted(closed) == ["afp16", *["afp32"] * 3, "bfp16", *["bfp32"] * 2]
    assert notes[-2:] == ["", ""]
    assert [note.split("/")[1:3] for note in notes[:-2]] == [
        ["fp32", "a"], ["fp32", "b"], ["fp16", "a"], ["fp16", "b"],
    ]  # fmt: skip


def test_a_row_names_its_reference():
    found, *_ = timed_case({"afp16": PREDICTION * 0.97})
    row = next(row for row in found.rows if row.id.startswith("article/fp16/a/"))
    assert row.parity["reference"] == ROWS[0].id
    assert row.parity["max_abs_diff"] == pytest.approx(0.03, abs=1e-6)
    assert (row.height, row.mode, row.device) == (512, "serialised", "CPU")


@pytest.mark.parametrize("wrong", [PREDICTION + 1, PREDICTION * np.nan, PREDICTION[:, :2]])
def test_what_disagrees_with_the_reference_is_not_timed_case(wrong):
    found, _, _, scopes = timed_case({"afp16": wrong})
    assert not any("article/fp16/a/" in name for names in scopes for name in names)
    reasons = [f.reason for f in found.failures if "/fp16/a/" in f.id]
    assert len(reasons) == 2
    assert all("disagrees" in reason or "another shape" in reason for reason in reasons)


def test_labels_from_end_to_end_are_those_of_the_same_session_s_core():
    found, *_ = timed_case()
    row = next(row for row in found.rows if "/fp16/a/" in row.id and row.scope == "end_to_end")
    assert row.parity["reference"] == "article/fp16/a/1x512x512x1/core/serialised"
    assert row.parity["labels_that_differ"] == 0


@pytest.mark.parametrize(("spread", "agrees"), [(0.05, True), (0.2, False), (np.nan, False)])
def test_int8_is_held_to_how_its_differences_spread(spread, agrees):
    noise = np.random.default_rng(0).normal(0, spread * PREDICTION.std(), SHAPE).astype(np.float32)
    gate = ParityGate()
    gate.check(FakeCandidate("a", "fp32", PREDICTION), "core", None)
    int8 = FakeCandidate("b", "int8", PREDICTION + noise)
    if agrees:
        agreement, _ = gate.check(int8, "core", None)
        assert agreement.reference == "a"
    else:
        with pytest.raises(ParityError, match="b disagrees with a and is not timed"):
            gate.check(int8, "core", None)


def test_a_row_without_ceilings_has_no_roofline_and_one_with_has_its_share():
    candidate = FakeCandidate(ROWS[0].id, "fp32", PREDICTION)
    opened = CheckedRow(ROWS[0], facts(ROWS[0]), Agreement("r", 0.0, 0.0), candidate)
    timer = CaseTimer(PIXELS, samples=5, seconds=100, scopes=2)
    (row,) = timer({ROWS[0].id: opened}).rows
    assert row.roofline is None
    limit = SimpleNamespace(attainable_ns=500.0)
    (row,) = timer({ROWS[0].id: replace(opened, limit=limit)}).rows
    assert row.roofline == {"attainable_ns": 500.0, "share": 0.5}


def test_a_reference_that_is_flat_is_none():
    found, _, _, scopes = timed_case({"afp32": np.full(SHAPE, 0.5, np.float32)})
    assert "says nothing" in found.failures[0].reason
    assert not any("/fp32/a/" in name for names in scopes for name in names)
    assert found.rows[0].parity["reference"].startswith("article/fp32/b/")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NoDevice("There is no GPU"), "There is no GPU."),
        (RuntimeError("CUDA out\n of memory"), "CUDA out of memory"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_what_cannot_be_opened_is_a_failure_and_the_rest_is_timed_case(error, reason):
    found, *_ = timed_case(error=error)
    assert len(found.rows) == 4
    assert {f.reason for f in found.failures} == {reason}
    assert len(found.failures) == 4


def test_where_nothing_opens_nothing_is_timed_case():
    def never(_spec):
        raise NoDevice("There is no GPU")

    found = time_case(ROWS, never, lambda _: pytest.fail("timed"), lambda *_: None)
    assert (found.rows, len(found.failures)) == ([], 8)


class Steady:
    """Takes as long as it is told, with a little that differs from run to run."""

    def __init__(self, ns):
        self.ns, self.runs = ns, 0

    def time_runs(self, count):
        self.runs += count
        return Runs(tuple(self.ns + k % 7 for k in range(count)))

    def close(self):
        pass


def opened(spec, ns, *, again=False):
    agreement = Agreement("r", 0.0, 0.0)
    return CheckedRow(spec, facts(spec), agreement, Steady(ns), Steady(ns) if again else None)


def sharing(**ns):
    specs = {spec.backend + spec.precision: spec for spec in ROWS if spec.scope == "core"}
    return {
        specs[key].id: opened(specs[key], time, again=key.endswith("fp32"))
        for key, time in ns.items()
    }


def timed(samples=100, seconds=100.0, **ns):
    return CaseTimer(PIXELS, samples=samples, seconds=seconds, scopes=1)(sharing(**ns))


def test_rows_and_comparisons_are_the_record_s():
    import jsonschema

    found = timed(afp32=2_000_000, bfp32=3_000_000, afp16=1_000_000, bfp16=3_000_000)
    record = make_record(*found.rows, comparisons=tuple(found.comparisons))
    assert set(record.to_json()["rows"][0]["parity"].values()) == {"r", 0.0}
    assert [row.id for row in found.rows] == [spec.id for spec in ROWS if spec.scope == "core"]
    schema = json.loads((ROOT / "benchmarks" / "record.schema.json").read_text())
    jsonschema.validate(record.to_json(), schema)
    assert [row.latency_ms["n"] for row in record.rows] == [100] * 4


def test_precisions_are_compared_on_each_library_and_libraries_in_the_first_precision():
    found = timed(afp32=2_000_000, bfp32=3_000_000, afp16=1_000_000, bfp16=3_000_000)
    said = {
        tuple("".join(name.split("/")[2:0:-1]) for name in (c.a, c.b)): c.verdict
        for c in found.comparisons
    }
    assert said == {
        ("afp32", "afp16"): "faster",
        ("bfp32", "bfp16"): "cannot be told apart",
        ("afp32", "bfp32"): "slower",
    }
    first = found.comparisons[0]
    assert first.ratio == pytest.approx(0.5, abs=1e-3)
    assert first.null_low <= 1 <= first.null_high


def test_a_row_that_was_not_opened_twice_has_no_null():
    specs = [spec for spec in ROWS if spec.scope == "core"]
    found = CaseTimer(PIXELS, samples=30, seconds=9, scopes=1)(
        {spec.id: opened(spec, 1_000_000) for spec in specs[:3]}
    )
    assert all(c.null_low is c.null_high is None for c in found.comparisons)


def test_a_single_round_tells_of_no_interval_and_can_be_stored():
    first = timed(samples=1, afp32=2_000_000, afp16=1_000_000).comparisons[0]
    assert (first.low, first.high) == (first.null_low, first.null_high) == (0, math.inf)
    assert first.verdict == "cannot be told apart"


def test_runs_are_as_many_as_fit_the_time():
    arms = [Steady(10_000_000), Steady(30_000_000)]
    assert samples_within(100, arms, 662) == 662
    assert samples_within(5, arms, 662) == pytest.approx(100, abs=2)
    assert samples_within(0.5, arms, 662) == 0
    assert samples_within(0.5, arms, 5) == 5


def test_where_not_even_a_median_fits_the_time_that_is_said():
    found = timed(seconds=0.001, afp32=1_000_000)
    assert found.rows == []
    assert [failure.reason for failure in found.failures] == [NO_TIME]
