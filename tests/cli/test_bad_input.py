"""Each mistake ends in one sentence and exit status 2: no traceback, nothing half-written."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unetrt.data import read_image
from unetrt.gpu import find_gpu

pytestmark = pytest.mark.tf


def said(result):
    """Return the error sentence of a run that failed as it should."""
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    lines = [line for line in result.output.splitlines() if "error:" in line]
    assert len(lines) == 1, result.output
    return lines[0]


@pytest.mark.parametrize("command", ["demo", "train"])
def test_no_such_data(unetrt, tmp_path, command):
    words = ["--data", tmp_path / "no"] if command == "demo" else [tmp_path / "no"]
    sentence = said(unetrt(command, *words, "--out", tmp_path / "out"))
    assert "expected images/ and labels/ side by side, or the word brain" in sentence
    assert not (tmp_path / "out").exists()


def test_a_label_without_its_image(unetrt, tmp_path, disc_folder):
    (disc_folder / "images" / "disc2.png").unlink()
    sentence = said(unetrt("train", disc_folder, "--out", tmp_path / "out"))
    assert "labels/disc2.png has no image" in sentence
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file(unetrt, tmp_path, disc_folder):
    (tmp_path / "out").write_text("mine")
    said(unetrt("demo", "--data", disc_folder, "--out", tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_out_that_cannot_be_written(unetrt, tmp_path, disc_folder):
    (tmp_path / "locked").mkdir(mode=0o500)
    sentence = said(unetrt("demo", "--data", disc_folder, "--out", tmp_path / "locked" / "out"))
    assert "Cannot write into" in sentence


@pytest.mark.parametrize("out", ["/proc/unetrt/out", "n" * 300])
def test_an_out_that_no_one_can_write(unetrt, tmp_path, monkeypatch, disc_folder, out):
    monkeypatch.chdir(tmp_path)
    assert "Cannot write into" in said(unetrt("demo", "--data", disc_folder, "--out", out))


@pytest.mark.parametrize(
    ("package", "extra"),
    [("tensorflow", "train"), ("tf2onnx", "train"), ("jinja2", "report"), ("onnxruntime", "cpu")],
)
def test_a_missing_extra_is_told_before_any_work(unetrt, tmp_path, monkeypatch, package, extra):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == package else found(name, *a)
    )
    monkeypatch.setitem(sys.modules, package, None)
    sentence = said(unetrt("demo", "--out", tmp_path / "out"))
    assert f"pip install 'unetrt[{extra}]'" in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("convert", "no.keras", "--out", "m.onnx"), "There is no file no.keras"),
        (("convert", "no.keras", "--out", "m.bin"), "expected a name ending in .onnx"),
        (
            ("convert", "no.keras", "--out", "m.onnx", "--precision", "fp8"),
            "'fp8' is not one of 'fp32'",
        ),
        (
            ("convert", "no.pth", "--out", "m.onnx"),
            "a .keras or .h5 file, or a",
        ),
        (
            ("convert", "m.onnx", "--out", "n.onnx", "--layout", "NCHW"),
            "takes no --layout",
        ),
        (("convert", "no.h5", "--out", "m.onnx", "--size", "8by8"), "HEIGHTxWIDTH such as 480x640"),
        (("convert", "no.h5", "--out", "m.onnx", "--opset", "9"), "got 9, expected 17 to 23"),
        (("convert", ".", "--out", "m.onnx"), "a folder without saved_model.pb"),
        (("build", "no.onnx", "--out", "m.engine"), "There is no file no.onnx"),
        (("build", "no.onnx", "--out", "m.plan"), "expected a name ending in .engine"),
        (("build", "no.onnx", "--out", "m.engine", "--size", "9:8:7"), "MIN:OPT:MAX"),
        (
            ("build", "no.onnx", "--out", "m.engine", "--backend", "x"),
            "'x' is not one of",
        ),
        (("verify", "no.keras", "no.onnx"), "There is no file no.keras"),
        (("bench", "no.onnx"), "There is no file no.onnx"),
        (("predict", "no.onnx", "no.png", "--out", "o"), "There is no image or folder no.png"),
    ],
)
def test_a_file_that_is_missing_or_misnamed(unetrt, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    assert told in said(unetrt(*words))
    assert not list(tmp_path.iterdir())


def test_a_truncated_model(unetrt, tmp_path, road):
    broken = tmp_path / "broken.keras"
    broken.write_bytes((road / "model.keras").read_bytes()[:1000])
    sentence = said(unetrt("convert", broken, "--out", tmp_path / "m.onnx"))
    assert "expected a whole Keras model" in sentence
    assert list(tmp_path.iterdir()) == [broken]


def test_a_model_of_other_classes_than_the_data(unetrt, road, disc_folder):
    for path in (disc_folder / "labels").iterdir():
        Image.fromarray(read_image(path)[:, :, 0] // 255).save(path)
    (disc_folder / "dataset.json").write_text(json.dumps({"classes": ["a", "b", "c"]}))
    models = (road / "model.fp32.onnx", road / "model.fp16.onnx")
    sentence = said(unetrt("verify", *models, "--data", disc_folder))
    assert "got 2 classes, expected 3 (a, b, c)" in sentence
    assert "named twice" in said(unetrt("verify", models[0], models[0], "--data", disc_folder))


def test_images_of_other_channels_than_the_model(unetrt, road, disc_folder):
    for path in (disc_folder / "images").iterdir():
        Image.new("RGB", (56, 48), 9).save(path)
    for command in (("verify", road / "model.keras"), ("bench",)):
        words = (*command, road / "model.fp32.onnx", "--data", disc_folder)
        assert "got 1 channels, expected 3" in said(unetrt(*words))


def test_brackets_in_names_are_printed_as_they_are(unetrt, road, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    out = tmp_path / "o[/b]"
    result = unetrt("predict", road / "model.fp32.onnx", tmp_path / "a.png", "--out", out)
    assert result.exit_code == 0
    assert "o[/b]" in result.stdout


def test_tensorrt_without_a_gpu(unetrt, road, tmp_path):
    if find_gpu() is not None:
        pytest.skip("there is a GPU")
    words = ("--out", tmp_path / "m.engine", "--backend", "tensorrt", "--size", "64")
    sentence = said(unetrt("build", road / "model.fp32.onnx", *words))
    assert "or with --backend tensorrt-rtx" in sentence


def test_as_json_the_error_is_json_too(unetrt):
    result = unetrt("bench", "no.onnx", "--json")
    assert result.exit_code == 2
    failure = json.loads(result.stdout)
    assert failure["type"] == "ArtifactError"
    assert failure["error"].startswith("There is no file no.onnx")


def test_one_unreadable_image_does_not_stop_the_rest(unetrt, road, tmp_path):
    for name in ("a", "c"):
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_text("not an image")
    Image.new("RGB", (30, 20)).save(tmp_path / "d.png")
    result = unetrt("predict", road / "model.fp32.onnx", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "error: 2 of 4 files could not be segmented" in result.stderr
    assert "skipped d.png" in result.output
    words = ("predict", road / "model.fp32.onnx", tmp_path, "--out", tmp_path / "out", "--json")
    report = json.loads(unetrt(*words).stdout)
    assert report["type"] == "CheckFailed"
    assert report["result"]["images"] == 2
    assert sorted(p.name for p in (tmp_path / "out" / "predictions").iterdir()) == [
        "a.png",
        "c.png",
    ]


def test_two_images_of_one_name_are_refused(unetrt, road, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / folder / "a.png")
    words = ("predict", road / "model.fp32.onnx", tmp_path / "one", tmp_path / "two")
    assert "written to the same file" in said(unetrt(*words, "--out", tmp_path / "out"))
    assert not Path(tmp_path / "out").exists()


def test_usage_errors_have_status_2(unetrt):
    assert unetrt("train").exit_code == 2
    assert unetrt("train", "brain", "--out", "x", "--minutes", "0").exit_code == 2
    assert unetrt("dance").exit_code == 2
