import numpy as np
import pytest

from unetrt.benchmarks import random_input, real_input
from unetrt.benchmarks.candidates import CallCandidate
from unetrt.errors import BadInput
from unetrt.normalization import Normalization

IMAGES = [
    np.arange(12 * 10, dtype=np.uint8).reshape(12, 10, 1),
    np.eye(8, dtype=np.uint8)[..., None],
]


def test_real_images_are_cut_or_mirrored_and_repeat():
    found = real_input(IMAGES, batch=3, height=10, width=12, source="two")
    assert found.pixels.shape == (3, 10, 12, 1)
    assert found.pixels.dtype == np.uint8
    assert np.array_equal(found.pixels[0], found.pixels[2])
    assert np.array_equal(found.pixels[0, :, :10], IMAGES[0][1:11])
    assert np.array_equal(found.pixels[0, :, 10:], IMAGES[0][1:11, [9, 8]])
    assert found.to_json() == {"kind": "real", "seed": None, "source": "two"}


def test_pixels_of_any_scale_are_kept_for_networks_that_normalise_them():
    small = IMAGES[0].astype(np.float32) / 1000 + 7
    large = np.eye(12, 10)[..., np.newaxis] * 1e6
    stored = real_input([small, large], batch=2, height=12, width=10, source="two", any_scale=True)
    assert np.array_equal(stored.pixels[1], large)
    assert stored.normalized(None) is stored
    seen = stored.normalized(Normalization()).pixels
    assert seen.dtype == np.float32
    for image, own in zip(seen, (small, large), strict=True):
        assert np.array_equal(image, Normalization().measure([own]).apply(own))


def test_random_ones_come_again_by_their_seed():
    def made(seed):
        return random_input(batch=2, height=4, width=6, channels=3, seed=seed)

    assert np.array_equal(made(1).pixels, made(1).pixels)
    assert not np.array_equal(made(1).pixels, made(2).pixels)
    assert made(3).to_json() == {"kind": "random", "seed": 3, "source": "uniform bytes"}


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_input_is_refused_with_the_reason(value):
    with pytest.raises(BadInput, match=f"which runs faster than an image does: got {value} and"):
        real_input([np.full((8, 8, 1), value, np.uint8)], batch=1, height=8, width=8, source="x")
    with pytest.raises(BadInput, match="constant input"):
        CallCandidate("x", lambda x: x, np.full((2, 2), value, np.float32))


def test_what_is_no_picture_is_refused():
    with pytest.raises(BadInput, match="got no numbers"):
        CallCandidate("x", lambda x: x, np.zeros((0, 2)))
    with pytest.raises(BadInput, match="not finite"):
        CallCandidate("x", lambda x: x, np.array([1.0, np.nan]))
    with pytest.raises(BadInput, match="expected bytes, 0 to 255; time on random ones"):
        deep = np.arange(64, dtype=np.uint16).reshape(8, 8, 1) * 100
        real_input([deep], batch=1, height=8, width=8, source="x")
