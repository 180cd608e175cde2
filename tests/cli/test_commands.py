"""Every step as its own subcommand, working on its own files."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.conftest import write_folder
from unetrt.data import read_image

pytestmark = pytest.mark.tf


QUICK = ("--epochs", "1", "--crop", "32", "--batch", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "discs")


def result_of(run):
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, folder):
    from typer.testing import CliRunner

    from unetrt.__main__ import app

    out = tmp_path_factory.mktemp("run")
    words = ["train", str(folder), "--out", str(out), *QUICK, "--json"]
    return out, result_of(CliRunner().invoke(app, words))


def test_train_leaves_model_history_metrics_and_overlays(trained):
    out, result = trained
    assert {p.name for p in out.iterdir()} == {
        "model.keras", "model.keras.json", "history.csv", "logs", "metrics.json", "overlays",
        "plan.json",
        "report.html",
    }  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics) == {"train", "val", "test"}
    assert set(metrics["test"]["dice"]) == {"foreground"}
    assert {"iou", "per_image_foreground"} <= set(metrics["test"])
    assert result["metrics"] == metrics
    with (out / "history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]
    assert any((out / "overlays").iterdir())


def test_convert_build_verify_predict_bench(unetrt, trained, folder, tmp_path):
    model = trained[0] / "model.keras"
    fp32, fp16, engine = (tmp_path / n for n in ("m.onnx", "m16.onnx", "m16.engine"))
    nodes = result_of(unetrt("convert", model, "--out", fp32, "--json"))["nodes"]
    assert (nodes["Conv"], nodes["ConvTranspose"]) == (15, 3)
    converted = result_of(unetrt("convert", fp32, "--out", fp16, "--precision", "fp16", "--json"))
    assert converted["precision"] == "fp16"
    assert set(json.loads((tmp_path / "m16.onnx.json").read_text())["source"]) == {"file", "sha256"}
    words = ("--backend", "tensorrt-rtx", "--size", "64:64:128", "--json")
    built = result_of(unetrt("build", fp16, "--out", engine, *words))
    assert built["receipt"]["convolution_share"] == {"fp16": 1.0}

    parity = result_of(unetrt("verify", model, fp32, fp16, "--data", folder, "--json"))
    assert parity["m.onnx"]["max_abs_diff"] < 1e-5
    assert parity["m16.onnx"]["dice"].keys() == parity["model.keras"]["dice"].keys()

    out = tmp_path / "predicted"
    predicted = result_of(unetrt("predict", fp32, folder / "images", "--out", out, "--json"))
    assert (predicted["images"], predicted["failed"]) == (6, {})
    assert read_image(out / "predictions" / "disc0.png").shape == (48, 56, 1)
    assert read_image(out / "overlays" / "disc0.png").shape == (48, 56, 3)

    words = ("--data", folder, "--samples", "3", "--json")
    timed = result_of(unetrt("bench", model, fp32, *words))
    assert {row["network"] for row in timed["rows"]} == {"model.keras", "m.onnx"}
    assert all(len(row["samples_ns"]["host"]) == 3 for row in timed["rows"])


def test_verify_fails_with_status_1_and_names_the_culprit(unetrt, road, tmp_path, disc_folder):
    import onnx
    from onnx import numpy_helper

    from unetrt.artifacts import OnnxModel

    proto = onnx.load(road / "model.fp32.onnx")
    for weight in proto.graph.initializer:
        if weight.name == "logits/bias":
            weight.CopyFrom(numpy_helper.from_array(np.float32([3, -3]), weight.name))
    good = OnnxModel.load(road / "model.fp32.onnx")
    wrong = tmp_path / "model.fp32.onnx"  # of the same name as the good one
    OnnxModel.write(
        wrong,
        lambda temporary: onnx.save(proto, temporary),
        sizes=good.sizes,
        inputs=good.inputs,
        outputs=good.outputs,
    )
    assert unetrt("verify", good.path, wrong, "--data", disc_folder).exit_code == 1
    told = unetrt("verify", good.path, wrong, "--data", disc_folder, "--json")
    failure = json.loads(told.stdout)
    assert failure["type"] == "ParityError"
    assert failure["result"][str(wrong)]["max_abs_diff"] > 0.1
    divergence = failure["result"][str(wrong)]["divergence"]
    assert divergence["layer"] == "logits"
    assert divergence["before"] > 20
    result = unetrt("verify", road / "model.keras", wrong, "--data", disc_folder)
    assert result.exit_code == 1
    assert "model.fp32.onnx diverges at layer 'logits', off by" in result.output
    assert (
        "error: model.fp32.onnx disagrees with the reference: got a probability off by"
        in result.output
    )
    assert unetrt("bench", road / "model.keras", wrong, "--data", disc_folder).exit_code == 1


def test_fp16_straight_from_keras_names_keras_as_its_source(unetrt, trained, tmp_path):
    model, out = trained[0] / "model.keras", tmp_path / "m.onnx"
    result_of(unetrt("convert", model, "--out", out, "--precision", "fp16", "--json"))
    assert json.loads((tmp_path / "m.onnx.json").read_text())["source"]["file"] == "model.keras"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.json"]
    again = unetrt("convert", out, "--out", tmp_path / "n.onnx", "--precision", "fp16")
    assert (again.exit_code, "got fp16, expected fp32" in again.output) == (2, True)


def test_doctor_names_the_install_command_of_what_is_missing(unetrt):
    report = result_of(unetrt("doctor", "--json"))
    assert report["machine"]["cores"] >= 1
    abilities = report["abilities"]
    assert abilities["run ONNX on the CPU"]["works"]
    assert abilities["run engines through PyCUDA"]["install"] == "pip install 'unetrt[pycuda]'"
    assert "unetrt[pycuda]" in json.dumps(report)
    assert unetrt("doctor").exit_code == 0


def test_version_and_help(unetrt):
    from unetrt import __version__

    assert unetrt("--version").stdout == f"unetrt {__version__}\n"
    for command in (
        "demo",
        "train",
        "convert",
        "build",
        "verify",
        "predict",
        "bench",
        "compare",
        "doctor",
    ):
        assert command in unetrt("--help").stdout
        assert unetrt(command, "--help").exit_code == 0


@pytest.mark.slow
def test_ctrl_c_keeps_the_epochs_that_were_finished(folder, tmp_path):
    words = ["train", folder, "--out", tmp_path, *QUICK[2:], "--minutes", "9"]
    # A shell's background job ignores Ctrl-C, and so would what it starts.
    heeding = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    heeding += "runpy.run_module('unetrt', run_name='__main__')"
    command = [sys.executable, "-c", heeding, *words]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        while (
            not (tmp_path / "history.csv").exists() or not (tmp_path / "model.keras.json").exists()
        ):
            assert process.poll() is None
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130
    assert f"It goes on from the last epoch by: unetrt resume {tmp_path}" in told
    assert "interrupted; what was finished is kept" in told
    assert "Traceback" not in told
    assert not list(tmp_path.glob(".*"))
    from unetrt import vendor

    vendor.keras()
    from unetrt.keras_models import load_model

    assert load_model(tmp_path / "model.keras")[1].classes == ("background", "foreground")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_verify_alone_takes_keras_word_for_its_golden_image(unetrt, road, precision):
    result = unetrt("verify", road / f"model.{precision}.onnx")
    assert result.exit_code == 0, result.output
    assert "agrees with Keras on its golden sample of 16 x 16" in result.stdout
    report = json.loads(unetrt("verify", road / f"model.{precision}.onnx", "--json").stdout)
    assert report["self_test"]["precision"] == precision


def test_a_keras_model_alone_has_nothing_to_agree_with(unetrt, road):
    result = unetrt("verify", road / "model.keras")
    assert result.exit_code == 2
    assert "Nothing to compare" in result.output


def test_an_artifact_alone_takes_no_data(unetrt, road, disc_folder):
    result = unetrt("verify", road / "model.fp32.onnx", "--data", disc_folder)
    assert result.exit_code == 2
    assert "takes no --data" in result.output
