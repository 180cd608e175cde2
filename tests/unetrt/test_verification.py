"""Verify artifacts whose pixels are normalised file by file."""

import numpy as np
import pytest

import unetrt
from unetrt.artifacts import OnnxModel
from unetrt.data import Dataset, Sample
from unetrt.errors import BadInput
from unetrt.normalization import Normalization
from unetrt.verification import find_divergence, verify_all

pytestmark = pytest.mark.tf


@pytest.fixture
def volumes(discs):
    """Two volumes of three slices each for every part, of scales a factor of thousands apart."""

    def slices(samples, volume, scale):
        for number, sample in enumerate(samples):
            image = (scale * (sample.image.astype(np.float64) + 60 * number)).astype(np.float32)
            yield Sample(f"{volume}{number}", image, sample.label, group=volume)

    def part(name):
        small, large = discs.train[:3], discs.train[3:]
        return (*slices(small, f"{name} a", 0.01), *slices(large, f"{name} b", 50))

    return Dataset("volumes", discs.classes, part("train"), part("val"), part("test"))


def test_keras_and_onnx_see_the_same_pixels(normalizing, volumes):
    half = normalizing / "model.fp16.onnx"
    others = [normalizing / "model.fp32.onnx", half]
    parities = verify_all(normalizing / "model.keras", others, volumes)
    for parity in parities.values():
        parity.check()
    # Fed as they are stored, the large volume's pixels would be at one end of every sigmoid.
    assert 0 < parities["model.fp16.onnx"].max_abs_diff < 0.01


def test_slices_are_verified_by_their_volumes_statistics(normalizing, volumes):
    found = unetrt.verify(
        normalizing / "model.keras", normalizing / "model.fp32.onnx", volumes
    ).dice["per_image_foreground"]
    dice = []
    with unetrt.open_session(normalizing / "model.fp32.onnx") as session:
        for pages in (volumes.test[:3], volumes.test[3:]):
            scale = session.pixel_scale([page.image for page in pages])
            for page in pages:
                labels, truth = session.segment(page.image, scale=scale) > 0, page.label > 0
                dice.append(2 * (labels & truth).sum() / max(1, labels.sum() + truth.sum()))
    assert found == pytest.approx(np.mean(dice), abs=1e-3)


def test_networks_on_different_scales_are_not_compared(normalizing, road, discs):
    with pytest.raises(BadInput, match="different scales cannot be compared: got .*keras: each "):
        unetrt.verify(normalizing / "model.keras", road / "model.fp32.onnx", discs)
    searched = find_divergence(normalizing / "model.keras", road / "model.fp32.onnx", discs)
    assert searched.divergence is None
    assert "one normalisation; make them of the same model" in searched.sentence


def test_a_layer_that_diverges_is_found_on_such_pixels(normalizing, tmp_path, volumes):
    spec = unetrt.PrecisionSpec(precision="fp16")
    right = OnnxModel.load(normalizing / "model.fp32.onnx")
    half = unetrt.to_precision(right, tmp_path / "half.onnx", spec, data=volumes)
    searched = find_divergence(normalizing / "model.keras", half, volumes, volumes.test[4].name)
    assert searched.sentence.startswith("no layer of half.onnx diverges on the CPU")


def test_other_percentiles_are_another_scale(normalizing, tmp_path, discs):
    model = OnnxModel.load(normalizing / "model.fp32.onnx")
    names = ("classes", "sizes", "inputs", "outputs")
    other = OnnxModel.write(
        tmp_path / "other.onnx",
        lambda path: path.write_bytes(model.path.read_bytes()),
        normalization=Normalization(percentiles=(5, 95)),
        **{name: getattr(model, name) for name in names},
    )
    with pytest.raises(BadInput, match=r"other.onnx: each file .* percentiles 5 and 95\)"):
        unetrt.verify(model, other, discs)
