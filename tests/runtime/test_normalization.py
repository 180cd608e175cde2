"""Sessions normalise pixels by the statistics of the whole file: image, stack or volume."""

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unetrt
from unetrt.artifacts import OnnxModel
from unetrt.data.reading import ImageFile, open_image_file
from unetrt.errors import BadInput, DataError, ShapeError
from unetrt.normalization import Normalization
from unetrt.runtime import SessionSpec, open_session
from unetrt.runtime.segmenter import HELD

pytestmark = pytest.mark.tf

KEPT = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def model(normalizing):
    return OnnxModel.load(normalizing / "model.fp32.onnx")


@pytest.fixture(scope="module")
def session(model):
    with open_session(model) as opened:
        yield opened


def in_tiles(model, side=96, **choices):
    memory_bytes = int(HELD * model.bytes_per_pixel * side * side) + 1
    return open_session(model, SessionSpec(memory_bytes=memory_bytes, **choices))


def drawn(height, width, seed=0):
    """Draw blobs and noise, of which a network of random weights makes both classes."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    image = 40 * np.sin(y / 9 + seed) * np.cos(x / 7) + random.normal(90, 12, (height, width))
    return image[:, :, np.newaxis]


def differing(one, other):
    return float(np.mean(one != other))


@settings(max_examples=25, suppress_health_check=KEPT)
@given(factor=st.floats(0.01, 1000), offset=st.floats(-100, 100), seed=st.integers(0, 9))
def test_an_image_of_any_scale_has_the_same_labels(session, factor, offset, seed):
    image = drawn(40, 52, seed)
    scaled = (factor * (image + offset)).astype(np.float32)
    labels = session.segment(image)
    assert 0 < labels.mean() < 1
    assert differing(session.segment(scaled), labels) < 0.002


def test_whole_numbers_and_floats_have_the_same_labels(session):
    image = np.round(drawn(40, 52)).astype(np.uint8)
    stored = [image, image.astype(np.uint16) * 200, image.astype(np.float64) / 255 - 3]
    for other in stored[1:]:
        np.testing.assert_array_equal(session.segment(other), session.segment(image))


def test_run_takes_what_the_network_takes(session):
    image = drawn(48, 64)
    scale = Normalization().measure([image])
    expected = session.run(scale.apply(image)[np.newaxis])[0]
    np.testing.assert_array_equal(session.probabilities(image), expected)
    assert np.abs(session.run(image[np.newaxis].astype(np.float32))[0] - expected).max() > 0.1


@settings(max_examples=15, suppress_health_check=KEPT)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 9))
def test_tiles_have_the_statistics_of_the_whole(model, session, height, width, seed):
    # Brighter to one side: by its own statistics each tile would be another image.
    image = drawn(height, width, seed) + 3 * np.arange(width)[:, np.newaxis]
    with in_tiles(model) as tiled:
        whole, parts = session.probabilities(image), tiled.probabilities(image)
        assert tiled.segmenter().tiling(300, 300).count > 4
        np.testing.assert_allclose(parts, whole, atol=2e-6)
        clear = np.abs(whole[..., 0] - 0.5) > 1e-5
        np.testing.assert_array_equal(tiled.segment(image)[clear], session.segment(image)[clear])


def test_every_tile_takes_the_very_pixels_of_the_whole(model):
    """Exactly, not nearly: the network sees the same numbers, so what they make is the same."""
    image = drawn(300, 200) + np.arange(200)[:, np.newaxis]
    expected = Normalization().measure([image]).apply(image)
    seen = []
    with in_tiles(model) as tiled:
        segmenter = tiled.segmenter()
        run = segmenter._run
        segmenter._run = lambda inputs: seen.append(next(iter(inputs.values()))) or run(inputs)
        tiling = segmenter.tiling(300, 200)
        tiled.segment(image)
    assert len(seen) == tiling.count > 4
    row, column = tiling.rows[1].start, tiling.columns[0].start
    tile = seen[len(tiling.columns)][0]
    inside = tile[: 300 - row, : 200 - column]
    np.testing.assert_array_equal(
        inside, expected[row : row + 96, column:][: len(inside), : inside.shape[1]]
    )


@pytest.mark.parametrize("kind", ["npy", "tif", "zarr"])
def test_a_file_that_is_read_in_parts_has_the_labels_of_the_whole(
    model, session, tmp_path, kind, monkeypatch
):
    image = (drawn(900, 90) + 0.2 * np.arange(900)[:, np.newaxis, np.newaxis])[:, :, 0]
    path = tmp_path / f"big.{kind}"
    if kind == "npy":
        np.save(path, image)
    elif kind == "tif":
        tifffile.imwrite(path, image.astype(np.float32), photometric="minisblack")
        image = image.astype(np.float32)
    else:
        zarr = pytest.importorskip("zarr")
        zarr.create_array(path, shape=image.shape, chunks=(64, 64), dtype="f8")[:] = image
    monkeypatch.setattr("unetrt.normalization._ROWS", 128)
    most = []
    read = ImageFile.__getitem__

    def watched(self, key):
        most.append(key[0].stop - key[0].start)
        return read(self, key)

    monkeypatch.setattr(ImageFile, "__getitem__", watched)
    expected = session.segment(image[:, :, np.newaxis])
    with in_tiles(model) as tiled:
        np.testing.assert_array_equal(tiled.segment(open_image_file(path)), expected)
    assert max(most) <= 128
    memory_bytes = int(HELD * model.bytes_per_pixel * 96 * 96)
    spec = unetrt.PredictSpec(session=SessionSpec(memory_bytes=memory_bytes), held_pixels=1000)
    assert unetrt.predict(model, path, tmp_path / "out", spec).failed == {}
    written = tmp_path / "out" / "predictions" / f"big.{'npy' if kind == 'npy' else 'zarr'}"
    if kind == "npy":
        labels = np.load(written)
    else:
        labels = pytest.importorskip("zarr").open_array(written, mode="r")[:]
    np.testing.assert_array_equal(labels, expected)


def test_an_interrupted_file_resumes_by_the_statistics_of_all_of_it(
    model, session, tmp_path, monkeypatch
):
    image = drawn(2400, 90)[:, :, 0] + 0.3 * np.arange(2400)[:, np.newaxis]
    np.save(tmp_path / "big.npy", image)
    memory_bytes = int(HELD * model.bytes_per_pixel * 400 * 96)
    spec = unetrt.PredictSpec(session=SessionSpec(memory_bytes=memory_bytes), held_pixels=1000)
    read, tops = ImageFile.__getitem__, []

    def failing(self, key):
        tops.append(key[0].start)
        if len(tops) > 3 and tops[-1] > 1300:
            raise KeyboardInterrupt
        return read(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFile, "__getitem__", failing)
        with pytest.raises(KeyboardInterrupt):
            unetrt.predict(model, tmp_path / "big.npy", tmp_path / "out", spec)
    assert tops[:3] == [0, 1024, 2048]  # the statistics first
    lines = []
    progress = unetrt.Progress()
    monkeypatch.setattr(progress, "say", lines.append)
    unetrt.predict(model, tmp_path / "big.npy", tmp_path / "out", spec, progress=progress)
    assert any("resuming after row" in line for line in lines)
    labels = np.load(tmp_path / "out" / "predictions" / "big.npy")
    np.testing.assert_array_equal(labels, session.segment(image[:, :, np.newaxis]))


def volume():
    """Return slices that differ in brightness: by its own statistics each would be another."""
    return [drawn(40, 50, k) + 150 * k for k in range(4)]


def test_slices_share_the_statistics_of_their_volume(session):
    pages = volume()
    scale = session.pixel_scale(pages)
    together = [session.segment(page, scale=scale) for page in pages]
    alone = [session.segment(page) for page in pages]
    assert differing(np.stack(together), np.stack(alone)) > 0.05
    scaled = [(500 * page - 7e4).astype(np.float32) for page in pages]
    other = session.pixel_scale(scaled)
    for page, labels in zip(scaled, together, strict=True):
        assert differing(session.segment(page, scale=other), labels) < 0.002
    probabilities = session.probabilities(pages[1], scale=scale)
    np.testing.assert_array_equal(probabilities.argmax(-1), together[1])


@pytest.mark.parametrize("kind", [".tif", ".npy", ".nii.gz"])
@pytest.mark.parametrize("probabilities", [False, True])
def test_predict_takes_a_file_for_one_volume(session, tmp_path, kind, probabilities):
    pages = [page.astype(np.float32) for page in volume()]
    stack = np.stack(pages)[..., 0]
    path = tmp_path / f"scan{kind}"
    if kind == ".tif":
        tifffile.imwrite(path, stack, photometric="minisblack")
    elif kind == ".npy":
        np.save(path, stack)
    else:
        nibabel = pytest.importorskip("nibabel")
        nibabel.save(nibabel.Nifti1Image(np.moveaxis(stack, 0, 2), np.eye(4)), path)
    spec = unetrt.PredictSpec(overlays=False, probabilities=probabilities)
    summary = unetrt.predict(session, path, tmp_path / "out", spec)
    assert (summary.images, summary.failed) == (4, {})
    scale = session.pixel_scale(pages)
    expected = np.stack([session.segment(page, scale=scale) for page in pages])
    written = tmp_path / "out" / "predictions"
    if kind == ".nii.gz":
        found = np.moveaxis(np.asarray(nibabel.load(written / "scan.nii.gz").dataobj), 2, 0)
    else:
        found = tifffile.imread(written / "scan.tif")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [0, 0.1, 255, -1e6])
def test_a_constant_image_is_segmented(session, value):
    found = session.probabilities(np.full((20, 30, 1), value, np.float32))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, session.probabilities(np.zeros((20, 30, 1), np.uint8)))


def test_info_says_it_in_words(session, road):
    assert session.info["normalization"].startswith("each file by its own mean and deviation")
    with open_session(road / "model.fp32.onnx") as plain:
        assert plain.info["normalization"] == "none: pixels as they are stored"


def test_a_network_that_takes_stored_pixels_refuses_a_scale(road):
    image = drawn(20, 20)
    with open_session(road / "model.fp32.onnx") as plain:
        assert plain.pixel_scale([image]) is None
        with pytest.raises(BadInput, match="takes pixels as they are stored: got a scale"):
            plain.segment(image, scale=Normalization().measure([image]))


def test_an_image_without_numbers_is_refused(session):
    image = drawn(20, 20)
    image[3, 3] = np.nan
    with pytest.raises(DataError, match="Cannot normalise these pixels: got NaN"):
        session.segment(image)


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3), (0, 64, 1)])
def test_what_is_no_image_of_the_network_is_refused_first(session, shape):
    with pytest.raises(ShapeError):
        session.segment(np.zeros(shape, np.float32))


def test_averaging_over_views_leaves_the_scale_alone(model):
    image = drawn(200, 150) + np.arange(150)[:, np.newaxis]
    with (
        open_session(model, SessionSpec(tta=True)) as whole,
        in_tiles(model, 120, tta=True) as tiled,
    ):
        assert tiled.segmenter().tiling(200, 150).count > 1
        np.testing.assert_allclose(
            tiled.probabilities(image), whole.probabilities(image), atol=2e-6
        )
