"""The report in a real browser; skipped, visibly, where there is none."""

import io
import json
import shutil
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from tests.test_repository import ROOT
from unetrt.report import as_file, latency_chart, learning_curve, render_html, segmentation_sheet

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip


def summary():
    receipt = {
        "convolution_share": {"fp32": 1.0}, "convolution_flops": 2_000_000_000, "casts": 0,
        "shape": [1, 64, 64, 1], "convolutions": 28, "layers": 70, "tf32": False,
    }  # fmt: skip
    engine = {
        "file": "model.engine", "sha256": "0" * 64, "backend": "tensorrt-rtx",
        "backend_version": "1.7", "executed": False, "why_not": "no GPU", "receipt": receipt,
    }  # fmt: skip
    dice = {"grey": 0.9, "white": 0.8, "per_image_foreground": 0.85}
    timing = {"p50": 10.0, "p90": 12.0, "min": 9.0, "max": 30.0, "n": 100}
    names = ("keras", "onnx-fp32", "onnx-fp16")
    return {
        "schema": 1,
        "data": "brain",
        "classes": ["background", "grey", "white"],
        "images": {"train": 3, "val": 1, "test": 1},
        "dice": dict.fromkeys(names, dice),
        "max_abs_diff": {"onnx-fp32": 1e-6, "onnx-fp16": 1e-3},
        "latency_ms": dict.fromkeys(names, timing),
        "input_shape": [1, 64, 64, 1],
        "engines": {"fp32": engine, "fp16": engine},
        "seconds": dict.fromkeys(
            ("data", "train", "convert", "build", "verify", "bench", "report"), 1.0
        ),
        "machine": {"cpu": "a CPU", "cores": 2, "gpu": None, "packages": {"keras": "3"}},
    }


def page():
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    history = [{"elapsed_s": 1.0, "loss": 1.0, "val_dice": 0.5}]
    facts = summary()
    sheet = io.BytesIO()
    rows = [(np.zeros((40, 40, 1), np.uint8), np.zeros((40, 40)), np.ones((40, 40)))]
    Image.fromarray(segmentation_sheet(rows)).save(sheet, format="PNG")
    charts = {
        "learning": learning_curve(history),
        "latency": latency_chart(facts["latency_ms"]),
    }
    return render_html(facts, sheet.getvalue(), charts)


def test_the_example_follows_the_schema():
    import jsonschema

    schema = json.loads((ROOT / "unetrt" / "report" / "summary.schema.json").read_text())
    jsonschema.validate(summary(), schema)


def test_an_engine_that_could_not_run_is_listed_as_that():
    assert page().count("no: no GPU") == 2


def test_rows_of_different_widths_share_a_sheet():
    rows = [(np.zeros((10, w, 1), np.uint8), np.zeros((10, w)), np.ones((10, w))) for w in (8, 20)]
    sheet = segmentation_sheet(rows)
    assert sheet.shape == (32, 3 * 20 + 8, 3)


def test_a_chart_is_a_file_of_its_own_too_and_says_what_it_shows():
    pytest.importorskip("matplotlib")
    svg = latency_chart({"keras": {"p50": 17.7}, "onnx": {"p50": 9.0, "p90": 9.5}})
    root = ET.fromstring(as_file(svg))  # noqa: S314
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in root[0].text
    assert root.attrib["aria-label"] == "Median milliseconds an image: onnx 9.0, keras 17.7."
    assert {"keras", "onnx", "17.7 ms", "9.0 ms"} <= {one.text for one in root.iter()}


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1280])
def test_it_renders_without_errors_or_overflow_and_shows_its_pictures(tmp_path, width):
    sync_api = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    path.write_text(page())
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page(viewport={"width": width, "height": 800})
        complaints = []
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(path.as_uri())
        assert tab.locator("h2").count() == 6
        loaded = tab.evaluate("[...document.images].map(i => i.complete && i.naturalWidth > 100)")
        assert loaded == [True]
        drawn = tab.evaluate("[...document.querySelectorAll('svg[role=img]')].map("
                             "s => s.getBoundingClientRect().width)")  # fmt: skip
        assert len(drawn) == 2
        assert min(drawn) > 300
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert not complaints
        assert len(tab.pdf()) > 10_000
        browser.close()
