"""The third job: ONNX in, an engine with its receipt out; TensorRT-RTX needs no GPU for it."""

import json

import pytest

from tests.jobs.command_line import run_cli
from tests.jobs.conftest import Made
from tests.jobs.snapshot import check_snapshot

pytestmark = pytest.mark.tf
pytest.importorskip("tensorrt_rtx")

UNKNOWN = ("*gpu", "receipt.inspection", "*warnings", "golden.*.data")
"""Told only where there is a GPU; and pixels."""


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def built(request, work):
    source = request.getfixturevalue(request.param)
    out = work / f"model.{request.param}.engine"
    words = ("--backend", "tensorrt-rtx", "--size", "32:32:64", "--level", "0", "--json")
    made = Made(out, run_cli("build", source.path, "--out", out, *words).result)
    return request.param, made, source


def test_the_receipt_says_what_the_convolutions_compute_in(built):
    precision, made, source = built
    assert made.printed["receipt"]["convolution_share"] == {precision: 1.0}
    assert made.sidecar["source"] == {"file": source.path.name, "sha256": source.printed["sha256"]}
    assert made.path.stat().st_size > 10_000


def test_what_is_printed_and_what_is_stored(built):
    precision, made, _ = built
    check_snapshot(f"build.{precision}", made.printed, unknown=UNKNOWN)
    check_snapshot(f"model.{precision}.engine.sidecar", made.sidecar, unknown=UNKNOWN)


def test_a_size_that_is_none_is_refused_and_leaves_nothing(fp32, tmp_path):
    words = ("--backend", "tensorrt-rtx", "--size", "big", "--out", tmp_path / "m.engine", "--json")
    run = run_cli("build", fp32.path, *words)
    assert "'big'" in run.refusal(2)
    assert not list(tmp_path.iterdir())
    check_snapshot("build.refused", json.loads(run.stdout), unknown=["error"])


def test_an_engine_that_holds_its_weights_takes_no_others(built, tmp_path):
    _, made, source = built
    words = ("--out", tmp_path / "m.engine", "--json")
    run = run_cli("refit", made.path, source.path, *words)
    assert "--refittable" in run.refusal(2)
    assert not list(tmp_path.iterdir())
    check_snapshot("refit.refused", json.loads(run.stdout), unknown=["error"])
