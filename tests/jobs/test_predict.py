"""The fourth job: images in, label maps out, by a model that is known to be right."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.jobs.command_line import run_cli
from tests.jobs.conftest import IMAGES
from tests.jobs.predictions import label_maps, read_label_maps
from tests.jobs.snapshot import check_snapshot

pytestmark = pytest.mark.tf

# What is chosen by itself differs between machines.
CHOSEN = tuple(f"session.{one}" for one in ("backend", "computes_in", "device", "version", "why"))
WHY = ("*session.why",)


def test_a_folder_becomes_label_maps_and_overlays(fp32, data, tmp_path):
    out = tmp_path / "out"
    words = ("--out", out, "--backend", "onnxruntime", "--probabilities", "--json")
    report = run_cli("predict", fp32.path, data / "images", *words).result
    check_snapshot("predict", report, unknown=WHY)
    found = read_label_maps(out)
    assert found.shape == (IMAGES, 32, 48)
    truth = np.stack([np.array(Image.open(f)) for f in sorted((data / "labels").iterdir())]) > 0
    assert ((found > 0) == truth).mean() > 0.8
    for kind in ("overlays", "probabilities"):
        assert len(list((out / kind).iterdir())) == IMAGES
    probabilities = np.load(out / "probabilities" / "disc0.npy")
    np.testing.assert_array_equal(probabilities.argmax(-1), found[0])


def test_tiles_find_what_the_whole_image_does(fp32, data, tmp_path):
    row = [np.array(Image.open(file)) for file in sorted((data / "images").iterdir())]
    (tmp_path / "data" / "images").mkdir(parents=True)
    Image.fromarray(np.tile(np.hstack(row), (9, 1))).save(tmp_path / "data" / "images" / "wide.png")
    whole = label_maps(fp32.path, tmp_path / "data", tmp_path / "whole")
    words = (
        "--out",
        tmp_path / "tiles",
        "--backend",
        "onnxruntime",
        "--memory",
        "0.0048",
        "--json",
    )
    assert run_cli("predict", fp32.path, tmp_path / "data" / "images", *words).result["images"] == 1
    np.testing.assert_array_equal(read_label_maps(tmp_path / "tiles"), whole)


def test_an_image_that_cannot_be_read_does_not_stop_the_rest(fp32, data, tmp_path):
    shutil.copytree(data / "images", tmp_path / "images")
    (tmp_path / "images" / "disc0.png").write_bytes(b"no image")
    words = ("--out", tmp_path / "out", "--backend", "onnxruntime", "--json")
    run = run_cli("predict", fp32.path, tmp_path / "images", *words)
    assert f"1 of {IMAGES} files" in run.refusal(1)
    assert len(read_label_maps(tmp_path / "out")) == IMAGES - 1
    check_snapshot(
        "predict.refused", json.loads(run.stdout), unknown=["error", *WHY, "result.failed.*"]
    )


def test_onnx_agrees_with_keras_on_real_images(trained, fp32, fp16, int8, labels, data):
    files = [one.path for one in (fp32, fp16, int8, labels)]
    found = run_cli("verify", trained.path, *files, "--data", data, "--json").result
    check_snapshot("verify", found, unknown=["*.worst"])
    assert found["model.onnx"]["max_abs_diff"] < 1e-4
    assert found["model.labels.onnx"]["max_abs_diff"] is None


def test_a_file_alone_is_checked_against_the_golden_sample_that_it_carries(fp32, wrong):
    found = run_cli("verify", fp32.path, "--json").result
    check_snapshot("verify.alone", found, unknown=CHOSEN)
    assert found["self_test"]["max_abs_diff"] < 1e-4
    assert "wrong.onnx" in run_cli("verify", wrong).refusal(1)


def test_a_wrong_one_is_named_with_the_layer_at_which_it_first_differs(fp32, wrong, data):
    run = run_cli("verify", fp32.path, wrong, "--data", data, "--json")
    assert "wrong.onnx" in run.refusal(1)
    failure = json.loads(run.stdout)
    check_snapshot(
        "verify.refused", failure, unknown=["error", "*.worst", "*.before", "*.sentence"]
    )
    assert '"logits"' in json.dumps(failure["result"])
