"""`python -m unetrt.benchmarks`, its cases timed by a fake."""

import json
from typing import ClassVar

import pytest

from tests.benchmarks.made_records import make_record, make_row
from unetrt.benchmarks import __main__ as command
from unetrt.benchmarks.matrix.matrix import Found
from unetrt.benchmarks.record import read_record, write_record
from unetrt.benchmarks.verbs import matrix

pytest.importorskip("jinja2")
QUICK = ["--networks", "small", "--batches", "1", "4", "--precisions", "fp32", "fp16"]


class FakeIsolated:
    """Times every cell at once; counts the cases."""

    asked: ClassVar[list[str]] = []

    def __init__(self, _work, arguments):
        assert arguments == ("--samples", "662")

    def __call__(self, case, _share, _left):
        self.asked.append(case.title)
        rows = [
            make_row(
                network=cell.network, precision=cell.precision, backend=cell.backend,
                batch=cell.batch, height=cell.side, width=cell.side, scope=cell.scope,
            ).to_json()
            for cell in case.cells
        ]  # fmt: skip
        assert [row["id"] for row in rows] == [cell.id for cell in case.cells]
        return Found(rows=rows[1:], failures=[{"id": rows[0]["id"], "reason": "out of memory"}])


@pytest.fixture
def machine(monkeypatch):
    FakeIsolated.asked.clear()
    monkeypatch.setattr(matrix, "Isolated", FakeIsolated)
    monkeypatch.setattr(matrix, "present_backends", lambda: ("onnxruntime", "openvino"))
    monkeypatch.setattr(matrix, "present_peers", lambda: {"keras-xla": ("fp32",)})
    monkeypatch.setattr(matrix, "measured_ceilings", lambda _cases: (None, "no ceilings"))


def test_the_matrix_writes_a_record_and_its_report_and_goes_on_from_there(machine, tmp_path):
    words = ["matrix", "--out", str(tmp_path), *QUICK]
    assert command.main(words) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "record.json", "report.html", "report.md",
    }  # fmt: skip
    record = read_record(tmp_path / "record.json")
    assert len(record.rows) == 2 * 8
    assert len(record.failures) == 2
    assert command.main(words) == 0
    assert len(FakeIsolated.asked) == 2


def test_backends_and_peers_are_chosen_by_name(machine, tmp_path):
    words = ["matrix", "--out", str(tmp_path), *QUICK, "--backends", "keras-xla", "openvino"]
    assert command.main(words) == 0
    rows = read_record(tmp_path / "record.json").rows
    assert {row.backend for row in rows} == {"keras-xla", "openvino"}
    assert {row.precision for row in rows if row.backend == "keras-xla"} == {"fp32"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--backends", "tensorrt"], "This machine cannot run these: got tensorrt, expected onnx"),
        (["--networks", "vnet"], "no such network: got vnet"),
        (["--precisions", "fp8"], "no such precision: got fp8"),
    ],
)
def test_bad_input_is_a_sentence_and_status_2(machine, tmp_path, capsys, words, said):
    assert command.main(["matrix", "--out", str(tmp_path), *words]) == 2
    assert said in capsys.readouterr().err
    assert FakeIsolated.asked == []


def test_a_record_of_another_machine_is_not_gone_on_with(machine, tmp_path, capsys):
    write_record(make_record(), tmp_path / "record.json")
    before = (tmp_path / "record.json").read_bytes()
    assert command.main(["matrix", "--out", str(tmp_path), *QUICK]) == 2
    assert "its rows belong to another cpu" in capsys.readouterr().err
    assert (tmp_path / "record.json").read_bytes() == before


def test_a_machine_without_jinja_keeps_the_record(machine, tmp_path, monkeypatch, capsys):
    from unetrt.errors import MissingDependency

    def missing(_record, _folder):
        raise MissingDependency("jinja2", extra="demo", purpose="Writing the report")

    monkeypatch.setattr(matrix, "write_report", missing)
    assert command.main(["matrix", "--out", str(tmp_path), *QUICK]) == 0
    assert "make the page of it elsewhere" in capsys.readouterr().err
    assert read_record(tmp_path / "record.json").rows


def test_the_report_is_made_again_from_a_record(tmp_path, capsys):
    write_record(make_record(), tmp_path / "record.json")
    out = tmp_path / "page"
    assert command.main(["report", str(tmp_path / "record.json"), "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {"report.html", "report.md"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not the record of a benchmark"),
        (json.dumps({"kind": "unetrt-benchmark", "schema": 99}), "record of another version"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, capsys, content, said):
    (tmp_path / "r.json").write_text(content)
    assert command.main(["report", str(tmp_path / "r.json"), "--out", str(tmp_path / "o")]) == 2
    assert said in capsys.readouterr().err
