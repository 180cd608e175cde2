from dataclasses import replace

import pytest

from unetrt.builder.plan import plan
from unetrt.builder.spec import UNetSpec
from unetrt.builder.train_spec import TrainSpec
from unetrt.data.fingerprint import Fingerprint, Levels, Spread, Symmetry
from unetrt.errors import BadInput
from unetrt.normalization import Normalization

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
    files=10,
    channel_stds=(40.0,),
    levels={"background": Levels(9.0, 11.0, 8.0), "cell": Levels(100.0, 120.0, 30.0)},
    symmetry=Symmetry(0.01, 0.0, 0.02, 0.01),
)


def test_small_eight_bit_images_get_the_small_network_and_small_crops():
    chosen = plan(CELLS)
    assert chosen.unet == UNetSpec.small(
        (None, None, 1), 2, pixel_mean=30.0, pixel_std=40.0, filters=(8, 16, 32, 64), bottleneck=128
    )
    assert chosen.training == TrainSpec(crop=(128, 128), batch=8)
    assert chosen.normalization is None
    assert [choice.what for choice in chosen.reasons] == [
        "pixels",
        "network",
        "crop",
        "batch",
        "mirrors and turns",
        "crops centred on a class",
    ]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"levels": {"cell": Levels(30.0, 135.0, 21.0)}},
            "cell lies at 30 to 135 from file to file",
        ),
        ({"dtype": "float32"}, "nothing says what scale float32 pixels"),
        ({"dtype": "float32, uint8"}, "float32, uint8 in one set have no common scale"),
        ({"dtype": "uint16", "levels": {"cell": Levels(10.0, 60000.0, 5.0)}}, "cell lies at 10"),
    ],
)
def test_files_without_a_common_scale_are_each_normalised_by_their_own(fields, why):
    chosen = plan(replace(CELLS, **fields))
    assert chosen.normalization == Normalization()
    assert (chosen.unet.pixel_mean, chosen.unet.pixel_std, chosen.unet.pixel_range) == (0, 1, None)
    assert why in chosen.reasons[0].why


def test_a_rare_class_is_in_half_of_the_crops():
    rare = plan(replace(CELLS, shares={"background": 0.999, "cell": 0.001}))
    assert rare.training.augmentation.foreground == 0.5
    assert "cell is 0.10% of the pixels" in rare.reasons[-1].why
    assert plan(CELLS).training.augmentation.foreground == 0.33


CT = {"percentiles": (-1024.0, -1000.0, 0.0, 900.0, 1500.0)}


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_hounsfield_units_keep_one_scale(dtype):
    tissue = {"levels": {"cell": Levels(-90.0, 90.0, 40.0)}}
    assert plan(replace(CELLS, dtype=dtype, **CT, **tissue)).normalization is None
    shifted = {"levels": {"cell": Levels(-900.0, 900.0, 3.0)}}
    assert plan(replace(CELLS, dtype=dtype, **CT, **shifted)).normalization == Normalization()


def test_floats_of_a_single_file_say_nothing_of_another():
    assert plan(replace(CELLS, files=1, levels={}, dtype="float32")).normalization is not None
    assert plan(replace(CELLS, files=1, levels={})).normalization is None


def test_channels_of_other_scales_are_each_normalised():
    chosen = plan(replace(CELLS, channels=3, channel_stds=(40.0, 4000.0, 35.0)))
    assert chosen.normalization == Normalization()
    assert "channels have scales of their own" in chosen.reasons[0].why


def test_small_oblong_slices_are_not_padded_to_large_crops():
    chosen = plan(replace(CELLS, height=Spread(31, 35, 43), width=Spread(40, 50, 59)))
    assert chosen.training.crop == (40, 56)
    assert len(chosen.unet.filters) == 3
    assert chosen.training.batch == 16
    assert chosen.reasons[2].why.endswith("35 x 50 rounded up to what the network takes")


@pytest.mark.parametrize(
    ("symmetry", "mirrors", "turns"),
    [
        (Symmetry(0.6, 0.6, 0.3, 0.2), ("horizontal",), False),
        (Symmetry(0.6, -0.5, 0.58, 0.2), ("vertical",), False),
        (Symmetry(0.6, 0.1, 0.1, 0.0), (), False),
        (Symmetry(0.6, 0.59, 0.6, 0.58), ("horizontal", "vertical"), True),
        (Symmetry(0.1, -0.1, 0.0, 0.0), ("horizontal", "vertical"), True),
        (None, ("horizontal", "vertical"), True),
    ],
)
def test_images_are_mirrored_and_turned_as_their_labels_allow(symmetry, mirrors, turns):
    vary = plan(replace(CELLS, symmetry=symmetry)).training.augmentation
    assert (vary.mirrors, vary.turns) == (mirrors, turns)
    assert (vary.rotation == 180) == turns


def test_a_few_pixels_far_out_are_clipped():
    hot = replace(CELLS, dtype="uint16", percentiles=(0.0, 100.0, 500.0, 4000.0, 65535.0))
    unet = plan(hot).unet
    assert unet.pixel_range == (100.0, 4000.0)
    assert (unet.pixel_mean, unet.pixel_std) == (29.0, 39.0)
    even = replace(hot, percentiles=(90.0, 100.0, 500.0, 4000.0, 4100.0))
    assert plan(even).unet.pixel_range is None


def test_large_objects_get_large_crops_and_as_many_pixels_a_batch():
    chosen = plan(replace(CELLS, objects=5, object_pixels=Spread(10, 8000, 9000)))
    assert (chosen.training.crop, chosen.training.batch) == ((256, 256), 2)
    assert "objects are about 101 pixels across" in {choice.why for choice in chosen.reasons}


@pytest.mark.parametrize(("crop", "levels"), [(256, 4), (64, 4), (16, 2), (4, 1)])
def test_a_crop_keeps_a_bottom_to_convolve(crop, levels):
    chosen = plan(CELLS, crop=crop)
    assert len(chosen.unet.filters) == levels
    assert chosen.unet.filters[0] in (8, 16)
    assert min(chosen.training.crop) >= crop


def test_what_is_given_wins():
    chosen = plan(CELLS, batch=3, loss="dice", minutes=1.0, epochs=None)
    assert chosen.training == TrainSpec(batch=3, loss="dice", minutes=1.0, crop=(128, 128))
    assert "as asked" in {choice.why for choice in chosen.reasons if choice.what == "batch"}


def test_a_preset_keeps_its_network():
    article = plan(CELLS, preset="article")
    assert article.unet == UNetSpec.article((None, None, 1), 2, pixel_mean=30.0, pixel_std=40.0)
    paper = plan(CELLS, preset="paper")
    assert paper.unet.padding == "valid"
    assert all(paper.unet.sizes.covering(side) - 184 == side for side in paper.training.crop)
    assert paper.training.batch == 1
    assert plan(CELLS, preset="small").unet.filters == (8, 16, 32, 64, 128)


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({"minutes": 3.0}, 8),
        ({"minutes": 6.0}, 16),
        ({"minutes": 3.0, "crop": (40, 56)}, 16),
        ({"minutes": 1.0, "crop": (40, 56)}, 8),
        ({"epochs": 500}, 8),
    ],
)
def test_more_time_teaches_more_filters(given, first):
    assert plan(CELLS, **given).unet.filters[0] == first


def test_a_preset_that_there_is_not_is_refused():
    with pytest.raises(BadInput, match="no such preset: got tiny, expected one of auto"):
        plan(CELLS, preset="tiny")
