"""`unetrt predict` over folders in which some files cannot be read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import unetrt
from tests.benchmarks.tiny_unet import tiny_unet
from unetrt.__main__ import app

DAMAGED = Path(__file__).parents[1] / "data" / "damaged"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_unet(tmp_path_factory.mktemp("model") / "tiny.onnx", free=True)


@pytest.fixture
def folder(tmp_path):
    """A folder of two images among everything that was ever found to stop one."""
    shutil.copytree(DAMAGED, tmp_path / "images")
    for name in ("a.png", "z.png"):
        Image.fromarray(np.full((40, 50), 90, np.uint8)).save(tmp_path / "images" / name)
    for name in ("notes.txt", "dataset.json", ".hidden"):
        (tmp_path / "images" / name).write_text("{}")
    return tmp_path / "images"


def left_in(out):
    """Return every file that was written, hidden ones too."""
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_the_rest_of_a_folder_is_done_and_the_summary_counts(model, folder, tmp_path):
    out = tmp_path / "out"
    words = ("predict", model.path, folder, "--out", out, "--backend", "onnxruntime", "--json")
    run = CliRunner().invoke(app, list(map(str, words)))
    assert run.exit_code == 1
    report = json.loads(run.stdout)
    damaged = len(list(DAMAGED.iterdir()))
    assert report["error"].startswith(f"{damaged} of {damaged + 2} files could not be segmented")
    result = report["result"]
    assert result["images"] == 2
    assert sorted(map(Path, result["failed"])) == sorted(folder / f.name for f in DAMAGED.iterdir())
    assert [Path(path).name for path in result["skipped"]] == ["dataset.json", "notes.txt"]
    assert left_in(out) == [f"{k}/{n}.png" for k in ("overlays", "predictions") for n in "az"]
    assert run.stderr.count("skipped ") == damaged
    assert "Traceback" not in run.output


def test_a_person_reads_the_counts_in_the_last_line_but_one(model, folder, tmp_path):
    words = ("predict", model.path, folder, "--out", tmp_path / "out", "--backend", "onnxruntime")
    run = CliRunner().invoke(app, list(map(str, words)))
    assert run.exit_code == 1
    damaged = len(list(DAMAGED.iterdir()))
    assert f"; {damaged} failed; 2 skipped, no images by name" in run.stdout


def test_a_folder_without_a_bad_file_ends_with_zero(model, tmp_path):
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((40, 50), 90, np.uint8)).save(tmp_path / "images" / "a.png")
    words = ("predict", model.path, tmp_path / "images", "--out", tmp_path / "out")
    run = CliRunner().invoke(app, list(map(str, words)))
    assert run.exit_code == 0
    assert "failed" not in run.stdout
    assert "skipped" not in run.stdout


@pytest.mark.parametrize("bad", ["channels", "group", "metadata", "chunk"])
def test_a_zarr_array_that_cannot_be_used_leaves_nothing_and_stops_nothing(model, tmp_path, bad):
    zarr = pytest.importorskip("zarr")

    def write(name, shape):
        array = zarr.create_array(tmp_path / name, shape=shape, chunks=(16, *shape[1:]), dtype="u1")
        array[:] = 90

    write("b.zarr", (40, 50))
    if bad == "group":
        zarr.create_group(tmp_path / "a.zarr")
    else:
        write("a.zarr", (40, 50, 3) if bad == "channels" else (40, 50))
    if bad == "metadata":
        (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    if bad == "chunk":
        (tmp_path / "a.zarr" / "c" / "2" / "0").write_bytes(b"no chunk")
    out = tmp_path / "out"
    images = [tmp_path / "a.zarr", tmp_path / "b.zarr"]
    summary = unetrt.predict(model, images, out)
    assert list(summary.failed) == [str(tmp_path / "a.zarr")]
    assert (summary.images, summary.files) == (1, 2)
    assert [path.name for path in (out / "predictions").iterdir()] == ["b.zarr"]


def test_a_large_image_that_breaks_off_leaves_no_part_of_its_labels(model, tmp_path):
    pixels = np.zeros((64, 50), np.float32)
    pixels[60, 3] = np.nan
    np.save(tmp_path / "bad.npy", pixels)
    summary = unetrt.predict(
        model, tmp_path / "bad.npy", tmp_path / "out", unetrt.PredictSpec(held_pixels=1000)
    )
    assert "NaN or infinite pixels" in summary.failed[str(tmp_path / "bad.npy")]
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("held_pixels", [1000, 1 << 26])
def test_a_header_of_billions_of_pixels_is_refused_at_once(model, tmp_path, held_pixels):
    name = "7_two_to_the_31_wide.tif"
    spec = unetrt.PredictSpec(held_pixels=held_pixels)
    summary = unetrt.predict(model, DAMAGED / name, tmp_path / "out", spec)
    assert list(summary.failed) == [str(DAMAGED / name)]
    assert summary.images == 0
