"""The baseline: a plain Keras U-Net by the clock, and its predictions at any size."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from tests.benchmarks.promises.made_nuclei import write_nuclei
from unetrt.benchmarks.promises import plain_unet
from unetrt.data import IGNORED, Sample, load_dataset
from unetrt.overlap import OverlapCounter

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_dataset(write_nuclei(tmp_path_factory.mktemp("data") / "nuclei", side=64))


@pytest.mark.slow
def test_it_learns_bright_discs_and_ends_by_the_clock(data, tmp_path, monkeypatch):
    seconds = itertools.count()  # a clock that no other process slows
    monkeypatch.setattr(plain_unet, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(plain_unet, "_LARGEST_BATCH", 8)
    found = plain_unet.train(data, tmp_path / "m.keras", minutes=1, seed=0)
    assert found["crop"] == [64, 64]
    assert found["steps"] == 60
    assert 400_000 < found["parameters"] < 600_000
    overlap = OverlapCounter(data.classes)
    for sample, labels in zip(
        data.test, plain_unet.predict(tmp_path / "m.keras", data.test), strict=True
    ):
        overlap.add(sample.label, labels)
    assert overlap.dice["foreground"] > 0.8


def test_a_large_image_is_predicted_in_parts_as_it_is_whole(tmp_path, monkeypatch):
    file = tmp_path / "m.keras"
    plain_unet.plain_network(1, 2).save(file)
    random = np.random.default_rng(0)
    image = random.normal(100, 20, (150, 201, 1)).astype(np.float32)
    sample = Sample("large", image, np.zeros((150, 201), np.uint8))
    (whole,) = plain_unet.predict(file, [sample])
    monkeypatch.setattr(plain_unet, "_TILE", 64)
    (parts,) = plain_unet.predict(file, [sample])
    assert whole.shape == parts.shape == (150, 201)
    assert (whole == parts).mean() > 0.99


def test_each_file_is_scaled_by_its_own_percentiles_and_a_volume_as_one():
    ramp = np.linspace(0, 1, 4096).reshape(64, 64, 1)
    label = np.zeros((64, 64), np.uint8)
    samples = [
        Sample("a", 5000 * ramp + 7, label),
        Sample("b_0", ramp, label, group="b"),
        Sample("b_1", 1 + ramp, label, group="b"),
    ]
    a, first, second = plain_unet.scaled(samples)
    assert (a.min(), a.max()) == (0, 1)
    assert first.max() == pytest.approx(0.5, abs=0.01) == second.min()


def test_small_images_are_padded_with_pixels_that_do_not_count():
    image, label = np.ones((35, 50, 1), np.float32), np.ones((35, 50), np.uint8)
    x, y = plain_unet._batch([image], [label], (40, 56), 2, np.random.default_rng(0))
    assert x.shape == (2, 40, 56, 1)
    assert (y[:, :35, :50] == 1).all()
    assert (y[:, 35:] == IGNORED).all()
    assert (y[:, :, 50:] == IGNORED).all()
    loss = plain_unet._loss(2)
    right = np.stack([1 - (y == 1), y == 1], axis=-1).astype(np.float32)
    wrong_outside = np.where((y == IGNORED)[..., None], 1 - right, right)
    assert float(loss(y, right)) == pytest.approx(0, abs=0.01)
    assert float(loss(y, wrong_outside)) == pytest.approx(float(loss(y, right)), abs=1e-5)
    assert float(loss(y, 1 - right)) > 2
