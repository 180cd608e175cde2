"""`unetrt predict` on files, stacks and images too large to hold."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from unetrt.runtime import SessionSpec, open_session

pytestmark = pytest.mark.tf


@pytest.fixture
def model(road):
    return road / "model.fp32.onnx"


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 255, (150, 90)).astype(np.uint8)


def _ok(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_stack_becomes_a_stack(unetrt, model, tmp_path):
    pages = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "cells.tif", pages, photometric="minisblack")
    out = tmp_path / "out"
    report = _ok(unetrt("predict", model, tmp_path / "cells.tif", "--out", out, "--json"))
    assert report["images"] == 3
    labels = tifffile.imread(out / "predictions" / "cells.tif")
    with open_session(model) as session:
        for page, label in zip(pages, labels, strict=True):
            np.testing.assert_array_equal(label, session.segment(page[:, :, np.newaxis]))
    assert len(list((out / "overlays" / "cells").iterdir())) == 3


def test_probabilities_on_request_and_no_overlays(unetrt, model, tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    words = ("--out", tmp_path / "out", "--probabilities", "--no-overlays", "--json")
    _ok(unetrt("predict", model, tmp_path / "a.png", *words))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["predictions", "probabilities"]
    probabilities = np.load(tmp_path / "out" / "probabilities" / "a.npy")
    assert probabilities.shape == (150, 90, 2)
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    label = np.array(Image.open(tmp_path / "out" / "predictions" / "a.png"))
    np.testing.assert_array_equal(label, probabilities.argmax(-1))


def test_little_memory_gives_the_same_labels(unetrt, model, tmp_path, pixels):
    Image.fromarray(np.tile(pixels, (4, 5))).save(tmp_path / "a.png")
    labels = []
    for memory in (1, 0.018):
        out = tmp_path / str(memory)
        _ok(unetrt("predict", model, tmp_path / "a.png", "--out", out, "--memory", memory,
                   "--json"))  # fmt: skip
        labels.append(np.array(Image.open(out / "predictions" / "a.png")))
    np.testing.assert_array_equal(*labels)
    with open_session(model, SessionSpec(memory_bytes=int(0.018 * 2**30))) as session:
        assert session.segmenter().tiling(600, 450).count > 1


@pytest.mark.parametrize("kind", [".nii", ".nii.gz"])
def test_a_volume_becomes_a_label_volume_in_the_same_space(unetrt, model, tmp_path, kind):
    nibabel = pytest.importorskip("nibabel")
    affine = np.array([[-2.0, 0, 0, 90], [0, 2, 0.5, -126], [0, 0, 3, -72], [0, 0, 0, 1]])
    volume = np.random.default_rng(0).integers(0, 255, (40, 50, 4)).astype(np.int16)
    source = nibabel.Nifti1Image(volume, affine)
    source.set_sform(affine, 4)
    source.set_qform(affine, 1, strip_shears=True)
    source.header.set_xyzt_units("mm", "sec")
    nibabel.save(source, tmp_path / f"brain{kind}")
    out = tmp_path / "out"
    report = _ok(unetrt("predict", model, tmp_path / f"brain{kind}", "--out", out, "--json"))
    assert report["images"] == 4
    found = nibabel.load(out / "predictions" / "brain.nii.gz")
    assert found.shape == volume.shape
    assert found.get_data_dtype() == np.uint8
    np.testing.assert_allclose(found.affine, source.affine)
    np.testing.assert_allclose(found.header.get_zooms(), source.header.get_zooms())
    for code in ("sform_code", "qform_code"):
        assert found.header[code] == source.header[code]
    assert found.header.get_xyzt_units()[0] == "mm"
    labels = np.asarray(found.dataobj)
    with open_session(model) as session:
        for k in range(4):
            np.testing.assert_array_equal(labels[:, :, k], session.segment(volume[:, :, k, None]))


def test_what_was_computed_in_is_said(unetrt, road, tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    words = ("predict", road / "model.fp16.onnx", tmp_path / "a.png", "--out", tmp_path / "out")
    own = unetrt(*words, "--backend", "onnxruntime")
    assert "computed in float32, from weights rounded to float16" in own.stdout
    fast = unetrt(*words, "--backend", "onnxruntime", "--fast")
    assert "(nothing gained: on a CPU, ONNX Runtime has nothing faster" in fast.stdout
    report = _ok(unetrt(*words, "--fast", "--json"))
    assert report["session"]["computes_in"] in ("float32", "bfloat16", "float16")
    assert report["session"]["fast"]


def test_blended_tiles_by_name(unetrt, model, tmp_path, pixels):
    Image.fromarray(np.tile(pixels, (2, 3))).save(tmp_path / "a.png")
    words = ("predict", model, tmp_path / "a.png", "--out", tmp_path / "out", "--memory", "0.001")
    assert _ok(unetrt(*words, "--tiling", "blended", "--json"))["images"] == 1
    label = np.array(Image.open(tmp_path / "out" / "predictions" / "a.png"))
    assert label.shape == (300, 270)
    assert "expected exact or blended" in unetrt(*words, "--tiling", "fuzzy").output


@pytest.mark.parametrize("pages", [1, 5])
def test_a_tiff_that_was_cut_short_is_skipped_and_named(unetrt, model, tmp_path, pixels, pages):
    stack = np.stack([pixels] * pages) if pages > 1 else pixels
    tifffile.imwrite(tmp_path / "cut.tif", stack, photometric="minisblack", compression="zlib")
    whole = (tmp_path / "cut.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(pixels).save(tmp_path / "good.png")
    result = unetrt("predict", model, tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "1 of 2 files could not be segmented" in result.output
    assert "skipped cut.tif: Cannot read" in result.output
    assert [p.name for p in (tmp_path / "out" / "predictions").iterdir()] == ["good.png"]


def test_a_target_that_cannot_be_written_says_so(unetrt, model, tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    out = tmp_path / "out"
    (out / "predictions" / "a.png").mkdir(parents=True)
    result = unetrt("predict", model, tmp_path / "a.png", "--out", out)
    assert result.exit_code == 2
    assert "Cannot write" in result.output
    assert "Traceback" not in result.output


def test_no_probabilities_of_what_is_written_part_by_part(unetrt, model, tmp_path, pixels):
    zarr = pytest.importorskip("zarr")
    zarr.save_array(tmp_path / "big.zarr", pixels)
    words = ("predict", model, tmp_path / "big.zarr", "--out", tmp_path / "out")
    refused = unetrt(*words, "--probabilities")
    assert refused.exit_code == 2
    assert "predict it without --probabilities" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_keras_model_is_to_be_converted_first(unetrt, road, tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    refused = unetrt("predict", road / "model.keras", tmp_path / "a.png", "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "convert it to ONNX first" in refused.stderr


@pytest.mark.parametrize("memory", ["x", "0", "2 TB", "-1GiB"])
def test_an_amount_of_memory_that_is_none_is_refused(unetrt, memory):
    refused = unetrt("predict", "no.onnx", "no.png", "--memory", memory)
    assert refused.exit_code == 2
    assert "'--memory': got" in refused.stderr
    assert "512MiB" in refused.stderr
