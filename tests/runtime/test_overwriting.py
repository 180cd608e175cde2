"""An output never takes the place of what is read, whatever names and links lead there."""

import os

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import unetrt
from tests.benchmarks.tiny_unet import tiny_unet
from unetrt.__main__ import app
from unetrt.convert.precision import to_precision
from unetrt.convert.to_engine import build_engine
from unetrt.errors import OutputError

IMAGE = np.full((40, 50), 90, np.uint8)
REFUSED = "Cannot write .*: got what is read as .*, expected another file"


@pytest.fixture
def model(tmp_path):
    return tiny_unet(tmp_path / "tiny.onnx", free=True)


def contents(folder):
    """Return every file below, with its bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def hard(link, target):
    os.link(target, link)


def soft(link, target):
    link.symlink_to(target)


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, IMAGE)
    else:
        Image.fromarray(IMAGE).save(path)
    return path


def refuses(model, images, out, tmp_path):
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=REFUSED):
        unetrt.predict(model, images, out)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "name",
    ["predictions/a.png", "predictions/a.tif", "overlays/a.png", "probabilities/a.npy",
     "predictions/a.npy"],
)  # fmt: skip
def test_images_that_lie_where_outputs_would_are_refused(model, tmp_path, name):
    path = image(tmp_path / "x" / name)
    image(path.with_name(f"b{path.suffix}"))
    refuses(model, path.parent, tmp_path / "x", tmp_path)
    refuses(model, path, tmp_path / "x" / "y" / "..", tmp_path)


def test_pages_of_a_stack_s_overlay_are_refused_as_images_beside_it(model, tmp_path):
    page = image(tmp_path / "x" / "overlays" / "cells" / "0000.png")
    stack = tmp_path / "cells.tif"
    Image.fromarray(IMAGE).save(stack, save_all=True, append_images=[Image.fromarray(IMAGE)])
    refuses(model, [stack, page], tmp_path / "x", tmp_path)


@pytest.mark.parametrize("link", [hard, soft])
def test_links_are_seen_through(model, tmp_path, link):
    path = image(tmp_path / "images" / "a.png")
    (tmp_path / "out" / "predictions").mkdir(parents=True)
    link(tmp_path / "out" / "predictions" / "a.png", path)
    refuses(model, path, tmp_path / "out", tmp_path)


def test_a_link_to_the_folder_is_seen_through(model, tmp_path):
    path = image(tmp_path / "images" / "a.png")
    (tmp_path / "out").mkdir()
    soft(tmp_path / "out" / "predictions", path.parent)
    refuses(model, path.parent, tmp_path / "out", tmp_path)


@pytest.mark.parametrize("out", ["predictions/..", "predictions/a.zarr", "predictions/a.zarr/new"])
def test_a_zarr_array_is_neither_replaced_nor_written_into(model, tmp_path, out):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "predictions" / "a.zarr"
    zarr.save_array(path, IMAGE)
    refuses(model, path, tmp_path / out, tmp_path)


def test_predicting_twice_into_one_folder_is_no_overwriting(model, tmp_path):
    path = image(tmp_path / "images" / "a.png")
    for _ in range(2):
        assert unetrt.predict(model, path, tmp_path / "images").images == 1


@pytest.mark.parametrize("link", [None, hard, soft])
def test_convert_and_build_refuse_the_file_that_they_read(model, tmp_path, link):
    writers = [(to_precision, "out.onnx")]
    if link is not None:  # by its own name no engine can be the file: it ends in .engine
        writers.append((build_engine, "out.engine"))
    for write, name in writers:
        for output, read in ((name, model.path), (f"{name}.json", model.files[1])):
            path = tmp_path / output
            if link is not None:
                link(path, read)
            before = contents(tmp_path)
            with pytest.raises(OutputError, match=REFUSED):
                write(model, model.path if link is None else tmp_path / name)
            assert contents(tmp_path) == before
            path.unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["model.keras", "model.h5", "saved/saved_model.pb"])
def test_the_command_line_refuses_before_anything_is_loaded(tmp_path, kind):
    read = tmp_path / kind
    read.parent.mkdir(exist_ok=True)
    read.write_bytes(b"never looked into")
    hard(tmp_path / "out.onnx", read)
    model = read.parent if read.suffix == ".pb" else read
    run = CliRunner().invoke(app, ["convert", str(model), "--out", str(tmp_path / "out.onnx")])
    assert run.exit_code == 2
    assert "got what is read as" in run.stderr
    assert read.read_bytes() == b"never looked into"


def test_an_onnx_file_is_not_retyped_onto_itself(model, tmp_path):
    before = contents(tmp_path)
    words = ["convert", model.path, "--precision", "fp16", "--out", model.path]
    run = CliRunner().invoke(app, list(map(str, words)))
    assert run.exit_code == 2
    assert "got what is read as" in run.stderr
    assert contents(tmp_path) == before
