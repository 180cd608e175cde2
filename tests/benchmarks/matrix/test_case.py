from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.benchmarks.matrix.test_case_timing import PIXELS, facts
from unetrt.benchmarks.agreement import Agreement
from unetrt.benchmarks.candidates import Runs
from unetrt.benchmarks.matrix import child as cell_artifacts
from unetrt.benchmarks.matrix.case import CaseTimer, Judge, Opened, time_case
from unetrt.benchmarks.matrix.cells import Cell, Wanted, cases_of
from unetrt.benchmarks.matrix.child import artifact_of, network_of
from unetrt.errors import NoDevice, ParityError, UnsupportedModel

CELLS = cases_of(
    Wanted(backends=("a", "b"), networks=("article",), batches=(1,), precisions=("fp32", "fp16"))
)[0].cells
SHAPE = (1, 4, 4, 2)
ANSWER = np.linspace(0, 1, 32, dtype=np.float32).reshape(SHAPE)


class FakeCandidate:
    def __init__(self, name, precision, answer):
        self.name, self.precision, self._answer = name, precision, answer

    def predict(self):
        return self._answer

    def time_runs(self, count):
        return Runs((1000,) * count)

    def close(self):
        pass


class FakeWay:
    def __init__(self, cell, answer, closed):
        self.facts = facts(cell)
        self.limit = None
        self._cell, self._answer, self._closed = cell, answer, closed

    def candidate(self, cell):
        if (cell.backend, cell.scope) == ("b", "end_to_end"):
            raise UnsupportedModel("b has no end to end")
        answer = self._answer if cell.scope == "core" else self._answer.argmax(-1)
        return FakeCandidate(cell.id, cell.precision, answer)

    def close(self):
        self._closed.append(self._cell.backend + self._cell.precision)


def timed(answers=None, error=None):
    """Time CELLS; `answers` by backend and precision."""
    closed, notes, turns = [], [], []

    def open_way(cell):
        if error is not None and cell.backend == "b":
            raise error
        key = cell.backend + cell.precision
        return FakeWay(cell, (answers or {}).get(key, ANSWER), closed)

    timer = CaseTimer(PIXELS, samples=5, seconds=100, scopes=2)

    def timing(sharing):
        turns.append(set(sharing))
        return timer(sharing)

    found = time_case(CELLS, open_way, timing, lambda at, _found: notes.append(at))
    return found, closed, notes, turns


def test_those_of_a_scope_take_turns_with_each_other_and_all_are_closed():
    found, closed, notes, turns = timed()
    assert [len(names) for names in turns] == [4, 2]
    assert len(found.rows) == 6
    assert {f.reason for f in found.failures} == {"b has no end to end."}
    # Of each library one is opened again for each scope: its A/A run.
    assert sorted(closed) == ["afp16", *["afp32"] * 3, "bfp16", *["bfp32"] * 2]
    assert notes[-2:] == ["", ""]
    assert [note.split("/")[1:3] for note in notes[:-2]] == [
        ["fp32", "a"], ["fp32", "b"], ["fp16", "a"], ["fp16", "b"],
    ]  # fmt: skip


def test_a_row_says_what_it_was_held_to():
    found, *_ = timed({"afp16": ANSWER * 0.97})
    row = next(row for row in found.rows if row.id.startswith("article/fp16/a/"))
    assert row.parity["reference"] == CELLS[0].id
    assert row.parity["max_abs_diff"] == pytest.approx(0.03, abs=1e-6)
    assert (row.height, row.mode, row.device) == (512, "serialised", "CPU")


@pytest.mark.parametrize("wrong", [ANSWER + 1, ANSWER * np.nan, ANSWER[:, :2]])
def test_what_disagrees_with_the_reference_is_not_timed(wrong):
    found, _, _, turns = timed({"afp16": wrong})
    assert not any("article/fp16/a/" in name for names in turns for name in names)
    reasons = [f.reason for f in found.failures if "/fp16/a/" in f.id]
    assert len(reasons) == 2
    assert all("disagrees" in reason or "another shape" in reason for reason in reasons)


def test_labels_from_end_to_end_are_those_of_the_same_session_s_core():
    found, *_ = timed()
    row = next(row for row in found.rows if "/fp16/a/" in row.id and row.scope == "end_to_end")
    assert row.parity["reference"] == "article/fp16/a/1x512x512x1/core/serialised"
    assert row.parity["labels_that_differ"] == 0


@pytest.mark.parametrize(("spread", "agrees"), [(0.05, True), (0.2, False), (np.nan, False)])
def test_int8_is_held_to_how_its_differences_spread(spread, agrees):
    noise = np.random.default_rng(0).normal(0, spread * ANSWER.std(), SHAPE).astype(np.float32)
    judge = Judge()
    judge.check(FakeCandidate("a", "fp32", ANSWER), "core", None)
    int8 = FakeCandidate("b", "int8", ANSWER + noise)
    if agrees:
        agreement, _ = judge.check(int8, "core", None)
        assert agreement.reference == "a"
    else:
        with pytest.raises(ParityError, match="b disagrees with a and is not timed"):
            judge.check(int8, "core", None)


def test_a_row_without_ceilings_has_no_roofline_and_one_with_has_its_share():
    candidate = FakeCandidate(CELLS[0].id, "fp32", ANSWER)
    opened = Opened(CELLS[0], facts(CELLS[0]), Agreement("r", 0.0, 0.0), candidate)
    timer = CaseTimer(PIXELS, samples=5, seconds=100, scopes=2)
    (row,) = timer({CELLS[0].id: opened}).rows
    assert row.roofline is None
    limit = SimpleNamespace(attainable_ns=500.0)
    (row,) = timer({CELLS[0].id: replace(opened, limit=limit)}).rows
    assert row.roofline == {"attainable_ns": 500.0, "share": 0.5}


def test_a_reference_that_is_flat_is_none():
    found, _, _, turns = timed({"afp32": np.full(SHAPE, 0.5, np.float32)})
    assert "says nothing" in found.failures[0].reason
    assert not any("/fp32/a/" in name for names in turns for name in names)
    assert found.rows[0].parity["reference"].startswith("article/fp32/b/")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NoDevice("There is no GPU"), "There is no GPU."),
        (RuntimeError("CUDA out\n of memory"), "CUDA out of memory"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_what_cannot_be_opened_is_a_failure_and_the_rest_is_timed(error, reason):
    found, *_ = timed(error=error)
    assert len(found.rows) == 4
    assert {f.reason for f in found.failures} == {reason}
    assert len(found.failures) == 4


def test_where_nothing_opens_nothing_is_timed():
    def never(_cell):
        raise NoDevice("There is no GPU")

    found = time_case(CELLS, never, lambda _: pytest.fail("timed"), lambda *_: None)
    assert (found.rows, len(found.failures)) == ([], 8)


class Files:
    """Stands in for filling and building; counts both."""

    def __init__(self, monkeypatch):
        self.filled, self.built = [], []
        for kind in ("OnnxModel", "Engine"):
            monkeypatch.setattr(getattr(cell_artifacts, kind), "load", lambda path: path)

    def fill(self, name, path, **sizes):
        self.filled.append((name, sizes["precision"], sizes["height"], sizes["width"]))
        path.touch()
        return path

    def build(self, model, path, cell):
        self.built.append((model.name, cell.precision, cell.batch))
        path.touch()
        return path


def test_a_file_is_made_once_and_tf32_is_an_engine_of_the_float32_file(monkeypatch, tmp_path):
    files = Files(monkeypatch)
    cells = [
        Cell("article", 256, batch, precision, backend, "core")
        for batch in (1, 4)
        for precision in ("fp32", "tf32")
        for backend in ("tensorrt", "onnxruntime")
        if (precision, backend) != ("tf32", "onnxruntime")
    ]
    for cell in [*cells, *cells]:
        artifact_of(cell, network_of(cell, tmp_path, files.fill), tmp_path, files.build)
    assert files.filled == [("article", "fp32", 256, 256)]
    assert sorted(files.built) == sorted(
        ("article.256.fp32.onnx", precision, batch)
        for batch in (1, 4) for precision in ("fp32", "tf32")
    )  # fmt: skip


def test_tf32_is_no_file_of_a_library_on_a_cpu(tmp_path):
    cell = Cell("article", 256, 1, "tf32", "openvino", "core")
    with pytest.raises(UnsupportedModel, match="openvino has no TF32"):
        artifact_of(cell, None, tmp_path, None)
