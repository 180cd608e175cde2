"""`unetrt predict` on files, stacks and images too large to hold."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from unetrt.commands import predict as command
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
    for memory in (1, 0.008):
        out = tmp_path / str(memory)
        _ok(unetrt("predict", model, tmp_path / "a.png", "--out", out, "--memory", memory,
                   "--json"))  # fmt: skip
        labels.append(np.array(Image.open(out / "predictions" / "a.png")))
    np.testing.assert_array_equal(*labels)
    with open_session(model, SessionSpec(memory_bytes=int(0.008 * 2**30))) as session:
        assert session.segmenter().tiling(600, 450).count > 1


@pytest.mark.parametrize("kind", ["npy", "zarr", "tif"])
def test_a_large_image_is_written_in_parts_and_gone_on_with(
    unetrt, model, tmp_path, pixels, kind, monkeypatch
):
    """The first run is stopped by a reader that fails half-way; the second starts further down."""
    zarr = pytest.importorskip("zarr")
    from unetrt.data.image_file import ImageFile

    image = np.tile(pixels, (16, 2))
    path = tmp_path / f"big.{kind}"
    if kind == "npy":
        np.save(path, image)
    elif kind == "tif":
        tifffile.imwrite(path, image, photometric="minisblack")
    else:
        zarr.create_array(path, shape=image.shape, chunks=(64, 64), dtype="u1")[:] = image
    monkeypatch.setattr(command, "_LARGE", 1000)
    words = ("predict", model, path, "--out", tmp_path / "out", "--memory", 0.005)
    read, tops = ImageFile.__getitem__, []

    def failing(self, key):
        tops.append(key[0].start)
        if key[0].start > 1300:
            raise KeyboardInterrupt
        return read(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFile, "__getitem__", failing)
        assert unetrt(*words).exit_code == 130
    assert min(tops) == 0
    tops.clear()

    def watched(self, key):
        tops.append(key[0].start)
        return read(self, key)

    monkeypatch.setattr(ImageFile, "__getitem__", watched)
    result = unetrt(*words)
    assert result.exit_code == 0, result.output
    assert "big." in result.output
    assert "going on after row 1024 of 2400" in result.output
    assert min(tops) > 700
    written = sorted(p.name for p in (tmp_path / "out" / "predictions").iterdir())
    assert written == ["big.npy" if kind == "npy" else "big.zarr"]
    found = tmp_path / "out" / "predictions" / written[0]
    labels = np.load(found) if kind == "npy" else zarr.open_array(found, mode="r")[:]
    with open_session(model) as session:
        np.testing.assert_array_equal(labels, session.segment(image[:, :, np.newaxis]))


def test_a_large_image_that_breaks_off_does_not_stop_the_rest(
    unetrt, model, tmp_path, pixels, monkeypatch
):
    monkeypatch.setattr(command, "_LARGE", 1000)
    bad = pixels.astype(np.float32)
    bad[140, 3] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    np.save(tmp_path / "good.npy", pixels)
    result = unetrt("predict", model, tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "1 of 2 files could not be segmented" in result.output
    assert "NaN or infinite pixels" in result.output
    assert np.load(tmp_path / "out" / "predictions" / "good.npy").shape == (150, 90)
