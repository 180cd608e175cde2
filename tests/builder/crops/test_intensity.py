"""How often pixels are changed, and that labels never are."""

from dataclasses import replace

import numpy as np
import pytest

from unetrt.builder.crops import CropStream
from unetrt.builder.train_spec import Augmentation
from unetrt.data import Sample
from unetrt.sizes import SizeRule


def _changed(share):
    image = np.full((32, 32, 1), 100, np.uint8)
    label = np.zeros((32, 32), np.uint8)
    label[8:20, 8:20] = 1
    stream = CropStream(
        (Sample("flat", image, label),), crop=32, batch=200, sizes=SizeRule(8), pixel_std=20.0,
        seed=0, augmentation=replace(Augmentation(), elastic=0.0, intensity_share=share),
    )  # fmt: skip
    pixels, labels = stream.batch(0)
    assert np.all(labels.sum(axis=(1, 2)) == 144)
    assert np.ptp(pixels, axis=(1, 2, 3)).max() == 0  # one change for all of a crop
    return pixels[:, 0, 0, 0] != 100


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_so_many_crops_are_brightened(share):
    assert _changed(share).mean() == pytest.approx(share, abs=0.1)
