"""`unetrt convert` on every kind of file it takes."""

import json
import shutil
import warnings

import numpy as np
import pytest

from unetrt.artifacts import OnnxModel
from unetrt.runtime import open_session

pytestmark = pytest.mark.tf


def converted(unetrt, source, out, *options):
    result = unetrt("convert", source, "--out", out, *options, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def others(road, tmp_path_factory):
    """The road's model as .h5 and as a SavedModel."""
    from unetrt import vendor

    vendor.keras()
    from unetrt.keras_models import load_model

    folder = tmp_path_factory.mktemp("others")
    model, _ = load_model(road / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras calls the format legacy
        model.save(folder / "model.h5")
    model.export(str(folder / "saved"), verbose=False)
    return folder


@pytest.mark.parametrize("name", ["model.h5", "saved"])
def test_the_same_network_from_every_format(unetrt, road, others, tmp_path, name):
    converted(unetrt, others / name, tmp_path / "m.onnx")
    x = np.random.default_rng(0).uniform(0, 255, (1, 32, 48, 1)).astype(np.float32)
    with open_session(road / "model.fp32.onnx") as right, open_session(tmp_path / "m.onnx") as own:
        (output,) = own.run({own.inputs[0].name: x}).values()
        np.testing.assert_allclose(output, right.run(x), atol=1e-6)
    assert OnnxModel.load(tmp_path / "m.onnx").classes == ("background", "class1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.json"]


def test_how_pixels_are_normalised_is_said(unetrt, normalizing, road, tmp_path):
    told = unetrt("convert", normalizing / "model.keras", "--out", tmp_path / "m.onnx").output
    assert "pixels: each file by its own mean and deviation" in " ".join(told.split())
    refused = unetrt(
        "convert", normalizing / "model.keras", "--out", tmp_path / "u.onnx", "--pixels", "uint8"
    )
    assert refused.exit_code == 2
    assert "got uint8 pixels, expected float32" in " ".join(refused.output.split())
    assert not (tmp_path / "u.onnx").exists()


def test_bytes_in_and_labels_out(unetrt, road, tmp_path, disc_folder):
    out = tmp_path / "m.onnx"
    options = ("--pixels", "uint8", "--outputs", "labels", "--layout", "NCHW", "--opset", "19")
    told = converted(unetrt, road / "model.keras", out, *options)
    assert told["inputs"][0]["dtype"] == "uint8"
    assert told["outputs"] == [
        {"name": "labels", "dtype": "uint8", "shape": ["batch", "height", "width"], "layout": ""}
    ]
    assert "Transpose" not in told["nodes"]
    result = unetrt("verify", road / "model.keras", out, "--data", disc_folder, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["m.onnx"]["max_abs_diff"] is None
    assert unetrt("predict", out, disc_folder / "images", "--out", tmp_path / "p").exit_code == 0


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_every_precision_from_keras_agrees_on_real_images(
    unetrt, road, tmp_path, disc_folder, precision
):
    out = tmp_path / "m.onnx"
    images = () if precision == "bf16" else ("--data", disc_folder)
    options = ("--precision", precision, *images)
    assert converted(unetrt, road / "model.keras", out, *options)["precision"] == precision
    result = unetrt("verify", road / "model.keras", out, "--data", disc_folder)
    assert result.exit_code == 0, result.output


def test_int8_without_images_is_refused(unetrt, road, tmp_path):
    out = tmp_path / "m.onnx"
    result = unetrt("convert", road / "model.fp32.onnx", "--out", out, "--precision", "int8")
    assert result.exit_code == 2
    assert "give them with --data" in result.output
    assert not list(tmp_path.iterdir())


def test_a_kept_layer_is_told(unetrt, road, tmp_path):
    options = ("--precision", "fp16", "--keep", "up2/*", "--keep", "logits")
    told = converted(unetrt, road / "model.fp32.onnx", tmp_path / "m.onnx", *options)
    assert "logits" in told["kept"]


def test_the_file_is_named_after_the_model_and_its_precision(unetrt, road, tmp_path):
    for suffix in ("", ".json"):
        shutil.copy(road / f"model.fp32.onnx{suffix}", tmp_path / f"net.onnx{suffix}")
    assert unetrt("convert", tmp_path / "net.onnx", "--precision", "bf16").exit_code == 0
    assert OnnxModel.load(tmp_path / "net.bf16.onnx").precision == "bf16"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--precision", "bf16", "--data", "DATA"), "A conversion to bf16 takes no --data"),
        (("--precision", "fp16", "--images", "4"), "A conversion without --data takes no --images"),
        (("--precision", "fp16", "--size", "64"), "is ONNX already: it takes no --size"),
        (("--precision", "fp16", "--rest", "fp16"), "Only int8"),
        ((), "is ONNX already; choose a --precision"),
    ],
)
def test_an_option_that_does_not_apply_is_refused(unetrt, road, disc_folder, tmp_path, words, told):
    words = [disc_folder if word == "DATA" else word for word in words]
    run = unetrt("convert", road / "model.fp32.onnx", "--out", tmp_path / "m.onnx", *words)
    assert (run.exit_code, told in " ".join(run.output.split())) == (2, True), run.output
    assert not (tmp_path / "m.onnx").exists()


def test_float32_of_a_keras_model_looks_at_no_images(unetrt, road, disc_folder, tmp_path):
    out = tmp_path / "m.onnx"
    run = unetrt("convert", road / "model.keras", "--out", out, "--data", disc_folder)
    assert (run.exit_code, "takes no --data" in run.output) == (2, True), run.output
