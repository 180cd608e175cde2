import json
import math

import pytest

from tests.benchmarks.made_records import make_record
from tests.test_repository import ROOT
from unetrt.benchmarks.agreement import Agreement
from unetrt.benchmarks.candidates import Runs
from unetrt.benchmarks.inputs import random_input
from unetrt.benchmarks.matrix.case import CaseTimer, Opened, samples_within
from unetrt.benchmarks.matrix.cells import Wanted, cases_of
from unetrt.benchmarks.matrix.matrix import NO_TIME
from unetrt.benchmarks.rows import Facts

CELLS = cases_of(Wanted(backends=("a", "b"), batches=(1,), precisions=("fp32", "fp16")))[0].cells
PIXELS = random_input(batch=1, height=512, width=512, channels=1, seed=0)


def facts(cell):
    """Describe a cell as one that runs on a CPU in float32."""
    named = {name: getattr(cell, name) for name in ("network", "precision", "backend")}
    return Facts(**named, device="CPU", computes_in="float32")


class Steady:
    """Takes as long as it is told, with a little that differs from run to run."""

    def __init__(self, ns):
        self.ns, self.runs = ns, 0

    def time_runs(self, count):
        self.runs += count
        return Runs(tuple(self.ns + k % 7 for k in range(count)))

    def close(self):
        pass


def opened(cell, ns, *, again=False):
    agreement = Agreement("r", 0.0, 0.0)
    return Opened(cell, facts(cell), agreement, Steady(ns), Steady(ns) if again else None)


def sharing(**ns):
    cells = {cell.backend + cell.precision: cell for cell in CELLS if cell.scope == "core"}
    return {
        cells[key].id: opened(cells[key], time, again=key.endswith("fp32"))
        for key, time in ns.items()
    }


def timed(samples=100, seconds=100.0, **ns):
    return CaseTimer(PIXELS, samples=samples, seconds=seconds, scopes=1)(sharing(**ns))


def test_rows_and_comparisons_are_the_record_s():
    import jsonschema

    found = timed(afp32=2_000_000, bfp32=3_000_000, afp16=1_000_000, bfp16=3_000_000)
    record = make_record(*found.rows, comparisons=tuple(found.comparisons))
    assert set(record.to_json()["rows"][0]["parity"].values()) == {"r", 0.0}
    assert [row.id for row in found.rows] == [cell.id for cell in CELLS if cell.scope == "core"]
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
    cells = [cell for cell in CELLS if cell.scope == "core"]
    found = CaseTimer(PIXELS, samples=30, seconds=9, scopes=1)(
        {cell.id: opened(cell, 1_000_000) for cell in cells[:3]}
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
