"""The whole road, small: what the demo leaves is what its schema says."""

import json
import re

import jsonschema
import pytest

from tests.conftest import write_folder
from tests.jobs.snapshot import check_snapshot
from tests.test_repository import ROOT
from unetrt.artifacts import Engine, OnnxModel
from unetrt.gpu import find_gpu

pytestmark = [pytest.mark.tf, pytest.mark.slow]
SCHEMA = json.loads((ROOT / "unetrt" / "report" / "summary.schema.json").read_text())


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from typer.testing import CliRunner

    from unetrt.__main__ import app

    base = tmp_path_factory.mktemp("demo")
    data = write_folder(base / "<i>discs", sizes=((48, 56), (70, 40), (64, 64), (90, 90)))
    out = base / "out"
    words = ["demo", "--data", data, "--out", out, "--minutes", "0.05", "--json"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return out, json.loads(result.stdout)


def test_the_summary_follows_its_schema(demo):
    out, printed = demo
    summary = json.loads((out / "summary.json").read_text())
    jsonschema.validate(summary, SCHEMA)
    assert {"report": str(out / "report.html"), **summary} == printed
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(summary | {"schema": 2}, SCHEMA)


@pytest.mark.skipif(find_gpu() is not None, reason="the engines would run, and have rows of theirs")
def test_what_is_printed(demo):
    check_snapshot("demo", demo[1], unknown=["machine.*", "engines.*.why_not"])


def test_every_artifact_is_there_and_names_the_one_before_it(demo):
    out, summary = demo
    for precision in ("fp32", "fp16"):
        engine = Engine.load(out / summary["engines"][precision]["file"])
        assert engine.source["sha256"] == OnnxModel.load(out / f"model.{precision}.onnx").sha256
        assert summary["engines"][precision]["receipt"]["convolution_share"] == {precision: 1.0}


def test_onnx_agrees_with_keras(demo):
    _, summary = demo
    assert summary["max_abs_diff"]["onnx-fp32"] < 1e-4
    for key, dice in summary["dice"]["keras"].items():
        assert summary["dice"]["onnx-fp16"][key] == pytest.approx(dice, abs=1e-3)


def test_the_page_is_one_file_and_escapes_what_a_user_named(demo):
    out, _ = demo
    page = (out / "report.html").read_text()
    assert "&lt;i&gt;discs" in page
    assert "<i>" not in page
    links = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert links
    # Pixels within the page, and shapes that a chart draws more than once.
    assert {link[:5] for link in links if not link.startswith("#")} == {"data:"}
