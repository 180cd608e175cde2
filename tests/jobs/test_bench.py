"""The fifth job: how long each takes, side by side, and whether it has become slower."""

import json

import pytest

from tests.jobs.command_line import run_cli
from tests.jobs.conftest import Made
from tests.jobs.snapshot import check_snapshot

pytestmark = pytest.mark.tf

MACHINE = ("machine.*", "command", "ceilings.flops_per_s", "ceilings.how", "ceilings.device")
TIMED = (*MACHINE, "rows.windows.*", "rows.warnings", "rows.device", "comparisons.verdict",
         "comparisons.*high")  # fmt: skip
BOUNDS = ("*rows.high", "*rows.null_high")
"""Null where there is no bound, as from few samples."""


@pytest.fixture(scope="module")
def record(work, trained, fp32, fp16, data):
    """A record of Keras and two ONNX files, and what was printed."""
    out = work / "record.json"
    words = ("--data", data, "--backend", "onnxruntime", "--samples", "200", "--out", out, "--json")
    return Made(out, run_cli("bench", trained.path, fp32.path, fp16.path, *words).result)


def test_every_artifact_is_timed_and_the_record_is_what_was_printed(record):
    assert json.loads(record.path.read_text()) == record.printed
    assert [(row["network"], row["scope"]) for row in record.printed["rows"]] == [
        ("model.onnx", "core"),
        ("model.fp16.onnx", "core"),
        ("model.keras", "end_to_end"),
        ("model.onnx", "end_to_end"),
        ("model.fp16.onnx", "end_to_end"),
    ]
    for row in record.printed["rows"]:
        assert len(row["samples_ns"]["host"]) == 200
        assert 0 < row["latency_ms"]["min"] <= row["latency_ms"]["p50"] <= row["latency_ms"]["p90"]
    check_snapshot("bench", record.printed, unknown=TIMED)


def test_a_wrong_one_is_not_timed(fp32, wrong, data, tmp_path):
    words = ("--data", data, "--backend", "onnxruntime", "--samples", "2")
    run = run_cli("bench", fp32.path, wrong, *words, "--out", tmp_path / "record.json", "--json")
    assert "wrong.onnx" in run.refusal(1)
    assert not list(tmp_path.iterdir())
    check_snapshot("bench.refused", json.loads(run.stdout), unknown=["error"])


def test_a_record_is_as_fast_as_itself(record):
    words = ("--fail-above", "5%", "--json")
    found = run_cli("compare", record.path, record.path, *words).result
    assert {row["ratio"] for row in found["rows"]} == {1}
    check_snapshot("compare", found, unknown=BOUNDS)


def test_twenty_times_the_time_is_slower_and_fails(record, tmp_path):
    slow = json.loads(record.path.read_text())
    for row in slow["rows"]:
        row["samples_ns"]["host"] = [20 * one for one in row["samples_ns"]["host"]]
    (tmp_path / "slow.json").write_text(json.dumps(slow))
    run = run_cli("compare", record.path, tmp_path / "slow.json", "--fail-above", "5%", "--json")
    assert "slower" in run.refusal(1)
    failure = json.loads(run.stdout)
    assert {(row["verdict"], row["failed"]) for row in failure["result"]["rows"]} == {
        ("slower", True)
    }
    check_snapshot("compare.refused", failure, unknown=["error", *BOUNDS])


def test_the_report_is_made_of_the_record(record, tmp_path):
    found = run_cli("report", record.path, "--out", tmp_path, "--json").result
    assert found["html"] == str(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for text in (page, (tmp_path / "report.md").read_text()):
        assert "model.fp16.onnx" in text
    assert "http-equiv" not in page
    assert {path.suffix for path in tmp_path.iterdir()} >= {".html", ".md"}


def test_each_convolution_on_its_own(fp32, tmp_path, work):
    out = tmp_path / "layers.json"
    words = ("--size", "32", "--samples", "1", "--backend", "onnxruntime", "--out", out, "--json")
    found = run_cli("bench", "--layers", fp32.path, *words).result
    assert json.loads(out.read_text()) == found
    assert found["failures"] == []
    assert all(layer["median_ns"] > 0 for layer in found["layers"])
    check_snapshot("bench.layers", found, unknown=MACHINE)


@pytest.mark.slow
def test_the_matrix_times_a_case_in_a_process_of_its_own(tmp_path, work):
    words = ("--network", "small", "--size", "64", "--batch", "1", "--precision", "fp32",
             "--scope", "core", "--backend", "onnxruntime", "--samples", "2")  # fmt: skip
    found = run_cli("bench-matrix", "--out", tmp_path, *words, "--minutes", "2", "--json").result
    assert json.loads((tmp_path / "record.json").read_text()) == found
    assert found["failures"] == []
    assert [row["backend"] for row in found["rows"]] == ["onnxruntime", "onnxruntime bare"]
    assert {path.name for path in tmp_path.iterdir()} >= {"record.json", "report.html", "report.md"}
    check_snapshot("matrix.record", found, unknown=TIMED)


def test_a_size_that_is_none_is_refused(fp32, data):
    run = run_cli("bench", fp32.path, "--data", data, "--size", "wide", "--json")
    assert "wide" in run.refusal(2)
