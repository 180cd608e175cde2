import numpy as np
import pytest

pytestmark = pytest.mark.tf


@pytest.fixture
def stream(keras, discs):
    from unetrt.builder import Augmentation
    from unetrt.builder.crops import CropStream
    from unetrt.sizes import SizeRule

    return CropStream(
        discs.train,
        crop=16,
        batch=2,
        sizes=SizeRule(4),
        pixel_std=50,
        seed=1,
        augmentation=Augmentation(),
    )


def spec():
    from unetrt.builder import TrainSpec

    return TrainSpec(crop=16, batch=2)


def test_batches_come_in_order_from_any_number_on(stream):
    from unetrt.builder.loop import batches

    for number, (pixels, classes) in enumerate(batches(stream, spec(), first=7).take(6), start=7):
        expected = stream.batch(number)
        assert (pixels.numpy() == expected[0]).all()
        assert (classes.numpy() == expected[1]).all()
        assert pixels.shape == (2, 16, 16, 1)


def test_each_scale_gets_its_own_labels(stream):
    from unetrt.builder.loop import batches
    from unetrt.builder.training_model import Scale

    scales = (Scale(2, 1, 8), Scale(4, 2, 4))
    _, labels = next(iter(batches(stream, spec(), scales=scales)))
    whole = stream.batch(0)[1]
    assert [part.shape for part in labels] == [(2, 16, 16), (2, 8, 8), (2, 4, 4)]
    assert (labels[1].numpy() == whole[:, 1::2, 1::2]).all()
    assert labels[2].numpy().dtype == np.uint8
