import numpy as np
import pytest

pytestmark = pytest.mark.tf


@pytest.fixture
def stream(keras, discs):
    from unetrt.builder.augment import CropStream

    return CropStream(discs.train, crop=32, batch=16, pixel_std=1.0, seed=5)


def test_a_batch_is_a_function_of_seed_and_number(stream):
    for again, first in zip(stream.batch(7), stream.batch(7), strict=True):
        np.testing.assert_array_equal(again, first)
    assert not np.array_equal(stream.batch(7)[0], stream.batch(8)[0])


def test_pixels_and_labels_turn_together(stream):
    pixels, labels = stream.batch(0)
    for image, label in zip(pixels[..., 0], labels, strict=True):
        if 0 < label.mean() < 1:  # the disc is the bright part, however it was turned
            assert image[label == 1].mean() > image[label == 0].mean() + 30


def test_images_smaller_than_a_crop_are_mirrored_out(keras, discs):
    from unetrt.builder.augment import CropStream

    pixels, labels = CropStream(discs.train, crop=96, batch=2, pixel_std=1.0, seed=0).batch(0)
    assert (pixels.shape, pixels.dtype) == ((2, 96, 96, 1), np.float32)
    assert (labels.shape, labels.dtype) == ((2, 96, 96), np.uint8)
