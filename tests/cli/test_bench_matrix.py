"""`unetrt bench-matrix` and `unetrt report`, the cases timed by a fake."""

import json
from typing import ClassVar

import pytest

from tests.benchmarks.made_records import make_record, make_row
from unetrt.benchmarks.matrix import matrix, matrix_spec
from unetrt.benchmarks.matrix.matrix import CaseResult
from unetrt.benchmarks.record import Failure, read_record, write_record

pytest.importorskip("jinja2")
QUICK = ("--network", "small", "--batch", 1, "--batch", 4, "--precision", "fp32",
         "--precision", "fp16")  # fmt: skip


class FakeTimer:
    """Times every row at once; counts the cases."""

    asked: ClassVar[list[str]] = []

    def __init__(self, _work, arguments):
        assert arguments == ("--samples", "662")

    def __call__(self, case, _share, _left):
        self.asked.append(case.title)
        rows = [
            make_row(
                network=spec.network, precision=spec.precision, backend=spec.backend,
                batch=spec.batch, height=spec.side, width=spec.side, scope=spec.scope,
            )
            for spec in case.rows
        ]  # fmt: skip
        assert [row.id for row in rows] == [spec.id for spec in case.rows]
        return CaseResult(rows=rows[1:], failures=[Failure(rows[0].id, "out of memory")])


@pytest.fixture
def machine(monkeypatch):
    FakeTimer.asked.clear()
    monkeypatch.setattr(matrix, "ChildTimer", FakeTimer)
    monkeypatch.setattr(matrix_spec, "present_backends", lambda: ("onnxruntime", "openvino"))
    monkeypatch.setattr(matrix_spec, "present_peers", lambda: {"keras-xla": ("fp32",)})
    monkeypatch.setattr(matrix, "measured_ceilings", lambda _cases: (None, "no ceilings"))


@pytest.fixture
def run(unetrt, tmp_path):
    """Run the matrix in a folder of its own."""
    return lambda *words: unetrt("bench-matrix", "--out", tmp_path, *words)


def test_the_matrix_writes_a_record_and_its_report_and_resumes_there(machine, run, tmp_path):
    assert run(*QUICK).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "record.json", "report.html", "report.md",
    }  # fmt: skip
    record = read_record(tmp_path / "record.json")
    assert len(record.rows) == 2 * 8
    assert len(record.failures) == 2
    again = run(*QUICK, "--json")
    assert json.loads(again.stdout) == record.to_json()
    assert len(FakeTimer.asked) == 2


def test_backends_and_peers_are_chosen_by_name(machine, run, tmp_path):
    assert run(*QUICK, "--backend", "keras-xla", "--backend", "openvino").exit_code == 0
    rows = read_record(tmp_path / "record.json").rows
    assert {row.backend for row in rows} == {"keras-xla", "openvino"}
    assert {row.precision for row in rows if row.backend == "keras-xla"} == {"fp32"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--backend", "tensorrt"], "This machine cannot run these: got tensorrt, expected onnx"),
        (["--network", "vnet"], "no such network: got vnet"),
        (["--precision", "fp8"], "no such precision: got fp8"),
    ],
)
def test_bad_input_is_a_sentence_and_status_2(machine, run, words, said):
    refused = run(*words)
    assert refused.exit_code == 2
    assert said in refused.stderr
    assert FakeTimer.asked == []


def test_a_record_of_another_machine_is_not_resumed(machine, run, tmp_path):
    write_record(make_record(), tmp_path / "record.json")
    before = (tmp_path / "record.json").read_bytes()
    refused = run(*QUICK)
    assert refused.exit_code == 2
    assert "its rows belong to another cpu" in refused.stderr
    assert (tmp_path / "record.json").read_bytes() == before


def test_a_machine_without_jinja_keeps_the_record(machine, run, tmp_path, monkeypatch):
    from unetrt.errors import MissingDependency

    def missing(_record, _folder):
        raise MissingDependency("jinja2", extra="demo", purpose="Writing the report")

    monkeypatch.setattr(matrix, "write_report", missing)
    done = run(*QUICK)
    assert done.exit_code == 0
    assert "make the page of it elsewhere" in done.stderr
    assert read_record(tmp_path / "record.json").rows


def test_the_report_is_made_again_from_a_record(unetrt, tmp_path):
    write_record(make_record(), tmp_path / "record.json")
    out = tmp_path / "page"
    assert unetrt("report", tmp_path / "record.json", "--out", out).exit_code == 0
    assert {path.name for path in out.iterdir()} == {"report.html", "report.md"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not the record of a benchmark"),
        (json.dumps({"kind": "unetrt-benchmark", "schema": 99}), "record of another version"),
    ],
)
def test_what_is_no_record_is_refused(unetrt, tmp_path, content, said):
    (tmp_path / "r.json").write_text(content)
    refused = unetrt("report", tmp_path / "r.json", "--out", tmp_path / "o")
    assert refused.exit_code == 2
    assert said in refused.stderr
