"""`unetrt.predict` on images too large to hold."""

import numpy as np
import pytest
import tifffile

import unetrt
from unetrt.data.reading import ImageFile

pytestmark = pytest.mark.tf


class Heard(unetrt.Progress):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture
def model(road):
    return road / "model.fp32.onnx"


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 255, (150, 90)).astype(np.uint8)


def save(path, image):
    if path.suffix == ".npy":
        np.save(path, image)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, image, photometric="minisblack")
    else:
        zarr = pytest.importorskip("zarr")
        zarr.create_array(path, shape=image.shape, chunks=(64, 64), dtype="u1")[:] = image
    return path


@pytest.mark.parametrize("kind", ["npy", "zarr", "tif"])
def test_a_large_image_is_written_in_parts_and_resumed(model, tmp_path, pixels, kind, monkeypatch):
    """The first run is stopped by a reader that fails half-way; the second starts further down."""
    image = np.tile(pixels, (16, 2))
    path = save(tmp_path / f"big.{kind}", image)
    spec = unetrt.PredictSpec(
        session=unetrt.SessionSpec(memory_bytes=int(0.01125 * 2**30)), held_pixels=1000
    )
    read, tops = ImageFile.__getitem__, []

    def failing(self, key):
        tops.append(key[0].start)
        if key[0].start > 1300:
            raise KeyboardInterrupt
        return read(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFile, "__getitem__", failing)
        with pytest.raises(KeyboardInterrupt):
            unetrt.predict(model, path, tmp_path / "out", spec)
    assert min(tops) == 0
    tops.clear()

    def watched(self, key):
        tops.append(key[0].start)
        return read(self, key)

    monkeypatch.setattr(ImageFile, "__getitem__", watched)
    progress = Heard()
    summary = unetrt.predict(model, path, tmp_path / "out", spec, progress=progress)
    assert (summary.images, summary.failed) == (1, {})
    assert f"big.{kind}: resuming after row 1024 of 2400" in progress.lines
    assert min(tops) > 700
    written = sorted(p.name for p in (tmp_path / "out" / "predictions").iterdir())
    assert written == ["big.npy" if kind == "npy" else "big.zarr"]
    found = tmp_path / "out" / "predictions" / written[0]
    if kind == "npy":
        labels = np.load(found)
    else:
        import zarr

        labels = zarr.open_array(found, mode="r")[:]
    with unetrt.open_session(model) as session:
        np.testing.assert_array_equal(labels, session.segment(image[:, :, np.newaxis]))


def test_a_large_image_that_breaks_off_does_not_stop_the_rest(model, tmp_path, pixels):
    bad = pixels.astype(np.float32)
    bad[140, 3] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    np.save(tmp_path / "good.npy", pixels)
    spec = unetrt.PredictSpec(held_pixels=1000)
    summary = unetrt.predict(model, tmp_path, tmp_path / "out", spec)
    assert (summary.images, summary.files) == (1, 2)
    assert "NaN or infinite pixels" in summary.failed[str(tmp_path / "bad.npy")]
    assert np.load(tmp_path / "out" / "predictions" / "good.npy").shape == (150, 90)


def test_an_open_session_stays_open(model, tmp_path, pixels):
    path = save(tmp_path / "a.npy", pixels)
    with unetrt.open_session(str(model)) as session:
        for out in ("one", "two"):
            assert unetrt.predict(session, [path], tmp_path / out).images == 1
