import numpy as np
import pytest

from unetrt.artifacts import OnnxModel
from unetrt.benchmarks import cell_artifacts
from unetrt.benchmarks.candidate import Turn
from unetrt.benchmarks.case import time_case
from unetrt.benchmarks.cell_artifacts import artifact_of
from unetrt.benchmarks.cells import Cell, Wanted, cases_of
from unetrt.errors import NoDevice, UnsupportedModel

CELLS = cases_of(
    Wanted(backends=("a", "b"), networks=("article",), batches=(1,), precisions=("fp32", "fp16"))
)[0].cells
SHAPE = (1, 4, 4, 2)
ANSWER = np.linspace(0, 1, 32, dtype=np.float32).reshape(SHAPE)


class FakeCandidate:
    def __init__(self, name):
        self.name = name

    def turn(self, count):
        return Turn((1000,) * count)

    def close(self):
        pass


class FakeWay:
    def __init__(self, cell, answer, closed):
        self.facts = {"device": "CPU", "computes_in": "float32", "peer": False}
        self._cell, self._answer, self._closed = cell, answer, closed

    def answer(self):
        return self._answer

    def candidate(self, scope):
        if (self._cell.backend, scope) == ("b", "end_to_end"):
            raise UnsupportedModel("b has no end to end")
        return FakeCandidate(self._cell.id)

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

    def timing(candidates):
        turns.append(set(candidates))
        return {name: {"samples_ns": {"host": [1000]}} for name in candidates}

    return time_case(CELLS, open_way, timing, notes.append), closed, notes, turns


def test_those_of_a_scope_take_turns_with_each_other_and_all_are_closed():
    found, closed, notes, turns = timed()
    assert [len(names) for names in turns] == [4, 2]
    assert len(found.rows) == 6
    assert {f["reason"] for f in found.failures} == {"b has no end to end."}
    assert sorted(closed) == ["afp16", "afp32", "bfp16", "bfp32"]
    assert notes[-1] == ""
    assert [note.split("/")[1:3] for note in notes[:-1]] == [
        ["fp32", "a"], ["fp32", "b"], ["fp16", "a"], ["fp16", "b"],
    ]  # fmt: skip


def test_a_row_says_what_it_was_held_to():
    found, *_ = timed({"afp16": ANSWER * 0.97})
    row = next(row for row in found.rows if row["id"].startswith("article/fp16/a/"))
    assert row["parity"]["reference"] == CELLS[0].id
    assert row["parity"]["max_abs_diff"] == pytest.approx(0.03, abs=1e-6)
    assert (row["height"], row["mode"], row["device"]) == (512, "serialised", "CPU")


@pytest.mark.parametrize("wrong", [ANSWER + 1, ANSWER * np.nan, ANSWER[:, :2]])
def test_what_disagrees_with_the_reference_is_not_timed(wrong):
    found, _, _, turns = timed({"afp16": wrong})
    assert not any("article/fp16/a/" in name for names in turns for name in names)
    reasons = [f["reason"] for f in found.failures if "/fp16/a/" in f["id"]]
    assert len(reasons) == 2
    assert all("disagrees" in reason or "another shape" in reason for reason in reasons)


def test_a_reference_that_is_flat_is_none():
    found, _, _, turns = timed({"afp32": np.full(SHAPE, 0.5, np.float32)})
    assert "says nothing" in found.failures[0]["reason"]
    assert not any("/fp32/a/" in name for names in turns for name in names)
    assert found.rows[0]["parity"]["reference"].startswith("article/fp32/b/")


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
    assert {f["reason"] for f in found.failures} == {reason}
    assert len(found.failures) == 4


def test_where_nothing_opens_nothing_is_timed():
    def never(_cell):
        raise NoDevice("There is no GPU")

    found = time_case(CELLS, never, lambda _: pytest.fail("timed"), lambda _: None)
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
        artifact_of(cell, tmp_path, files.fill, files.build)
    assert files.filled == [("article", "fp32", 256, 256)]
    assert sorted(files.built) == sorted(
        ("article.256.fp32.onnx", precision, batch)
        for batch in (1, 4) for precision in ("fp32", "tf32")
    )  # fmt: skip


def test_tf32_is_no_file_of_a_library_on_a_cpu(tmp_path):
    cell = Cell("article", 256, 1, "tf32", "openvino", "core")
    with pytest.raises(UnsupportedModel, match="openvino has no TF32"):
        artifact_of(cell, tmp_path, OnnxModel, OnnxModel)
