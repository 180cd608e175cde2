from dataclasses import replace

import pytest

from unetrt.builder.plan import plan
from unetrt.builder.spec import UNetSpec
from unetrt.builder.train_spec import TrainSpec
from unetrt.data.fingerprint import Fingerprint, Spread
from unetrt.errors import BadInput

pytestmark = pytest.mark.tf

CELLS = Fingerprint(
    name="cells",
    classes=("background", "cell"),
    images=(10, 2, 2),
    height=Spread(200, 256, 300),
    width=Spread(200, 256, 300),
    channels=1,
    dtype="uint8",
    percentiles=(0.0, 1.0, 20.0, 200.0, 255.0),
    mean=30.0,
    std=40.0,
    clipped_mean=29.0,
    clipped_std=39.0,
    shares={"background": 0.8, "cell": 0.2},
    ignored=0.0,
    images_with={"background": 10, "cell": 10},
    objects=None,
    object_pixels=None,
    constant=0,
)


def test_small_eight_bit_images_get_the_small_network_and_small_crops():
    chosen = plan(CELLS)
    assert chosen.unet == UNetSpec.small((None, None, 1), 2, pixel_mean=30.0, pixel_std=40.0)
    assert chosen.training == TrainSpec(crop=128, batch=8)
    assert [choice.what for choice in chosen.reasons] == ["pixels", "network", "crop", "batch"]


def test_a_few_pixels_far_out_are_clipped():
    hot = replace(CELLS, dtype="uint16", percentiles=(0.0, 100.0, 500.0, 4000.0, 65535.0))
    unet = plan(hot).unet
    assert unet.pixel_range == (100.0, 4000.0)
    assert (unet.pixel_mean, unet.pixel_std) == (29.0, 39.0)
    even = replace(hot, percentiles=(90.0, 100.0, 500.0, 4000.0, 4100.0))
    assert plan(even).unet.pixel_range is None


def test_large_objects_get_large_crops_and_as_many_pixels_a_batch():
    chosen = plan(replace(CELLS, objects=5, object_pixels=Spread(10, 8000, 9000)))
    assert (chosen.training.crop, chosen.training.batch) == (256, 2)
    assert "objects are about 101 pixels across" in {choice.why for choice in chosen.reasons}


@pytest.mark.parametrize(("crop", "levels"), [(256, 5), (64, 4), (16, 2), (4, 1)])
def test_a_crop_keeps_a_bottom_to_convolve(crop, levels):
    chosen = plan(CELLS, crop=crop)
    assert len(chosen.unet.filters) == levels
    assert chosen.unet.filters[0] == 8
    assert chosen.training.crop >= crop


def test_what_is_given_wins():
    chosen = plan(CELLS, batch=3, loss="dice", minutes=1.0, epochs=None)
    assert chosen.training == TrainSpec(batch=3, loss="dice", minutes=1.0)
    assert "as asked" in {choice.why for choice in chosen.reasons if choice.what == "batch"}


def test_a_preset_keeps_its_network():
    article = plan(CELLS, preset="article")
    assert article.unet == UNetSpec.article((None, None, 1), 2, pixel_mean=30.0, pixel_std=40.0)
    paper = plan(CELLS, preset="paper")
    assert paper.unet.padding == "valid"
    assert paper.unet.sizes.covering(paper.training.crop) - 184 == paper.training.crop
    assert paper.training.batch == 1
    assert plan(CELLS, preset="small").unet == plan(CELLS).unet


def test_a_preset_that_there_is_not_is_refused():
    with pytest.raises(BadInput, match="no such preset: got tiny, expected one of auto"):
        plan(CELLS, preset="tiny")
