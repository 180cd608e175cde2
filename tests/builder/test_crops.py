from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from unetrt.builder.crops import CropStream, border_weights, displacement, sampled, varied
from unetrt.builder.train_spec import Augmentation
from unetrt.data import IGNORED, Sample
from unetrt.errors import BadInput
from unetrt.sizes import SizeRule

GREY = replace(
    Augmentation(), recoloured=0.0, curved=0.0, noisy=0.0, blurred=0.0, coarsened=0.0, rotated=0.0,
    zoomed=0.0, deformed=0.0,
)  # fmt: skip
"""Crops that are only mirrored and turned by quarters."""


def stream_of(samples, **options):
    own = {
        "crop": 32,
        "batch": 8,
        "sizes": SizeRule(4),
        "pixel_std": 1.0,
        "seed": 5,
        "augmentation": Augmentation(),
    }
    return CropStream(samples, **(own | options))


def sample(image, label, **fields):
    return Sample("s", image, label.astype(np.uint8), **fields)


def test_a_batch_is_a_function_of_seed_and_number(discs):
    stream = stream_of(discs.train)
    for again, first in zip(stream.batch(7), stream_of(discs.train).batch(7), strict=True):
        np.testing.assert_array_equal(again, first)
    assert not np.array_equal(stream.batch(7)[0], stream.batch(8)[0])
    assert not np.array_equal(stream.batch(7)[0], stream_of(discs.train, seed=6).batch(7)[0])


@pytest.mark.parametrize("share", ["deformed", "rotated", "zoomed"])
def test_pixels_and_labels_move_together(share):
    random = np.random.default_rng(0)
    label = np.kron(random.integers(0, 3, (8, 9)), np.ones((8, 8), int))
    # Pixels tell their label, so any turn, flip or deformation of one alone would show.
    stream = stream_of((sample((label * 100).astype(np.uint8)[:, :, None], label),),
                       augmentation=replace(GREY, elastic=4.0, **{share: 1.0}))  # fmt: skip
    pixels, labels = stream.batch(0)
    assert (pixels.dtype, labels.dtype) == (np.float32, np.uint8)
    between = np.abs(pixels[..., 0] - labels * 100.0)
    assert np.mean(between < 1) > 0.7  # bilinear pixels lie between, along the edges alone


@pytest.mark.parametrize("turns", [True, False])
@pytest.mark.parametrize("mirrors", [(), ("horizontal",), ("vertical",)])
def test_crops_are_turned_no_further_than_asked(mirrors, turns):
    image = np.arange(8 * 12, dtype=np.uint8).reshape(8, 12, 1)
    stream = stream_of(
        (sample(image, image[:, :, 0] % 2),),
        crop=8,
        batch=64,
        augmentation=replace(GREY, mirrors=mirrors, turns=turns),
    )
    pixels, labels = stream.batch(0)
    np.testing.assert_array_equal(pixels[..., 0] % 2, labels)
    down, across = pixels[:, 1, 0, 0] - pixels[:, 0, 0, 0], pixels[:, 0, 1, 0] - pixels[:, 0, 0, 0]
    found = set(zip(down.tolist(), across.tolist(), strict=True))
    expected = {(12, 1)}
    if "horizontal" in mirrors:
        expected |= {(12, -1)}
    if "vertical" in mirrors:
        expected |= {(-12, 1)}
    if turns:
        expected |= {(b, a) for a, b in expected} | {(-a, -b) for a, b in expected}
        expected |= {(-b, a) for a, b in expected} | {(b, -a) for a, b in expected}
        expected &= found if mirrors else {(12, 1), (-12, -1), (1, -12), (-1, 12)}
    assert found == expected


def test_oblong_crops_of_oblong_images_are_not_padded():
    label = np.kron(np.random.default_rng(0).integers(0, 3, (5, 7)), np.ones((7, 7), int))
    image = (label * 50).astype(np.uint8)[:, :, None]
    stream = stream_of((sample(image, label),), crop=(35, 49), batch=32, augmentation=GREY)
    pixels, labels = stream.batch(0)
    assert (pixels.shape, labels.shape) == ((32, 36, 52, 1), (32, 36, 52))
    assert np.mean(np.abs(pixels[..., 0] - labels * 50.0) < 1) > 0.9


def test_eight_channels_move_with_their_labels():
    label = np.kron(np.random.default_rng(0).integers(0, 2, (8, 8)), np.ones((8, 8), int))
    image = label[:, :, None] * (np.arange(8) + 1) * 10.0
    stream = stream_of((sample(image, label),), augmentation=replace(GREY, rotated=1.0, zoomed=1.0))
    pixels, labels = stream.batch(0)
    wanted = labels[..., None] * (np.arange(8) + 1) * 10.0
    assert np.mean(np.abs(pixels - wanted) < 1) > 0.7


@pytest.mark.parametrize("share", ["recoloured", "curved", "noisy", "blurred", "coarsened"])
def test_grey_levels_change_within_what_the_crop_has(share):
    random = np.random.default_rng(0)
    image = ndimage.gaussian_filter(random.uniform(0, 5, (24, 20, 2)), (3, 3, 0)).astype(np.float32)
    found = varied(image, replace(Augmentation.none(), **{share: 1.0}), 1.0, random)
    assert (found.shape, found.dtype) == (image.shape, np.float32)
    assert not np.allclose(found, image)
    assert np.corrcoef(found.ravel(), image.ravel())[0, 1] > 0.5
    flat = np.full_like(image, 3.0)
    again = varied(flat, replace(Augmentation.none(), **{share: 1.0}, brightness=0.0), 1.0, random)
    np.testing.assert_allclose(again, flat, rtol=1e-5)


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_a_curve_keeps_pixels_between_the_least_and_the_most(seed, offset, scale):
    random = np.random.default_rng(seed)
    image = (random.uniform(0, scale, (5, 6, 1)) + offset).astype(np.float32)
    found = varied(image, replace(Augmentation.none(), curved=1.0), 1.0, random)
    assert np.isfinite(found).all()
    slack = 1e-5 * float(np.abs(image).max()) + 1e-12
    assert image.min() - slack <= found.min() <= found.max() <= image.max() + slack


def test_every_batch_shows_the_rare_class():
    label = np.zeros((300, 300), np.uint8)
    label[150:153, 150:153] = 2
    label[:100, :100] = 1
    stream = stream_of((sample(np.zeros((300, 300, 1), np.uint8), label),), batch=4,
                       augmentation=Augmentation(elastic=1.0))  # fmt: skip
    for number in range(6):
        shown = stream.batch(number)[1]
        assert {1, 2} <= set(np.unique(shown))


def test_augmentation_fades_to_crops_as_they_are(discs):
    always = Augmentation(rotated=1.0, zoomed=1.0, recoloured=1.0, mirrors=(), turns=False)
    fading = stream_of(discs.train, augmentation=always, strength=lambda number: 1.0 - number)
    plain = stream_of(discs.train, augmentation=always.weakened(0.0))
    assert not np.array_equal(fading.batch(0)[0], plain.batch(0)[0])
    for own, wanted in zip(fading.batch(1), plain.batch(1), strict=True):
        np.testing.assert_array_equal(own, wanted)


def test_crops_as_they_are_come_from_the_image():
    image = np.arange(40 * 44, dtype=np.uint16).reshape(40, 44, 1)
    stream = stream_of((sample(image, image[:, :, 0] % 2),), augmentation=Augmentation.none())
    pixels, labels = stream.batch(3)
    for crop, label in zip(pixels[..., 0], labels, strict=True):
        top, left = divmod(int(crop[0, 0]), 44)
        np.testing.assert_array_equal(crop, image[top : top + 32, left : left + 32, 0])
        np.testing.assert_array_equal(label, crop % 2)


def test_images_smaller_than_a_crop_are_mirrored_out(discs):
    pixels, labels = stream_of(discs.train, crop=96, batch=2).batch(0)
    assert (pixels.shape, labels.shape) == ((2, 96, 96, 1), (2, 96, 96))


def test_a_crop_that_the_network_does_not_take_grows_to_the_next(discs):
    stream = stream_of(discs.train, crop=30, sizes=SizeRule(16))
    assert (stream.image_size, stream.label_size) == ((32, 32), (32, 32))


@pytest.mark.parametrize("deformed", [0.0, 1.0])
def test_an_unpadded_network_sees_a_margin_around_what_it_labels(deformed):
    label = np.kron(np.random.default_rng(0).integers(0, 2, (10, 10)), np.ones((8, 8), int))
    image = (label * 200).astype(np.uint8)[:, :, None]
    stream = stream_of(
        (sample(image, label),),
        crop=20,
        sizes=SizeRule(4, 2, 7),
        augmentation=replace(GREY, elastic=3.0, deformed=deformed),
    )
    pixels, labels = stream.batch(0)
    assert pixels.shape == (8, 34, 34, 1)
    assert labels.shape == (8, 20, 20)
    inner = pixels[:, 7:-7, 7:-7, 0]
    assert np.mean(np.abs(inner - labels * 200.0) < 1) > (0.7 if deformed else 0.999)


def test_rare_classes_are_shown_as_often_as_asked():
    label = np.zeros((400, 400), np.uint8)
    label[200:204, 200:204] = 1
    label[:4, :4] = 2
    one = sample(np.zeros((400, 400, 1), np.uint8), label)
    some = stream_of((one,), batch=400, augmentation=replace(GREY, foreground=0.5))
    shown = some.batch(0)[1].reshape(400, -1)
    for number in (1, 2):
        assert 0.2 < (shown == number).any(axis=1).mean() < 0.35
    none = stream_of((one,), batch=400, augmentation=replace(GREY, foreground=0.0))
    assert none.batch(0)[1].any(axis=(1, 2)).mean() < 0.1


def test_ignored_pixels_are_no_foreground_and_stay_ignored():
    label = np.zeros((64, 64), np.uint8)
    label[:, 32:] = IGNORED
    stream = stream_of((sample(np.zeros((64, 64, 1), np.uint8), label),), batch=32)
    assert set(np.unique(stream.batch(0)[1])) == {0, IGNORED}


def test_bright_sixteen_bit_pixels_do_not_overflow():
    image = np.full((40, 40, 3), 65535, np.uint16)
    pixels, _ = stream_of((sample(image, np.ones((40, 40))),), pixel_std=100.0).batch(0)
    assert np.isfinite(pixels).all()
    assert 65535 - 100 < pixels.min() <= pixels.max() < 65535 + 100


def test_border_weights_come_with_their_pixels():
    instances = np.zeros((64, 64), np.int32)
    instances[:, :30], instances[:, 33:] = 1, 2
    one = sample(np.zeros((64, 64, 1), np.uint8), instances > 0, instances=instances)
    pixels, labels, weights = stream_of((one,), border=True).batch(0)
    assert (len(pixels), weights.dtype, weights.shape) == (8, np.float32, labels.shape)
    assert (weights[labels == 1] == 1).all()
    assert (weights[labels == 0] > 5).all()


def test_an_epoch_holds_as_many_pixels_as_the_images():
    image = np.zeros((512, 512, 1), np.uint8)
    samples = (sample(image, np.ones((512, 512))),) * 4
    assert stream_of(samples, batch=8, crop=32).steps_per_epoch == 128
    assert stream_of(samples[:1], batch=8, crop=64).steps_per_epoch == 50


@pytest.mark.parametrize(
    "fields",
    [
        {"foreground": 1.5},
        {"elastic": -1.0},
        {"rotated": float("nan")},
        {"zoom": (1.4, 0.7)},
        {"mirrors": ("sideways",)},
    ],
)
def test_an_augmentation_that_cannot_be_is_refused(fields):
    with pytest.raises(BadInput, match="Cannot augment"):
        Augmentation(**fields)


def changed_crops(share):
    image = np.full((32, 32, 1), 100, np.uint8)
    label = np.zeros((32, 32), np.uint8)
    label[8:20, 8:20] = 1
    stream = CropStream(
        (Sample("flat", image, label),), crop=32, batch=200, sizes=SizeRule(8), pixel_std=20.0,
        seed=0, augmentation=replace(GREY, recoloured=share),
    )  # fmt: skip
    pixels, labels = stream.batch(0)
    assert np.all(labels.sum(axis=(1, 2)) == 144)
    assert np.ptp(pixels, axis=(1, 2, 3)).max() == 0  # one change for all of a crop
    return pixels[:, 0, 0, 0] != 100


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_so_many_crops_are_brightened(share):
    assert changed_crops(share).mean() == pytest.approx(share, abs=0.1)


@given(st.integers(8, 80), st.integers(0, 2**32))
def test_the_corners_and_the_middle_move_by_what_was_drawn_and_others_smoothly(side, seed):
    moved = displacement((side, side), 10.0, np.random.default_rng(seed))
    nodes = np.random.default_rng(seed).normal(scale=10.0, size=(2, 3, 3))
    assert moved.shape == (2, side, side)
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        np.testing.assert_allclose(moved[:, row, column], nodes[:, row, column], atol=1e-3)
    if side % 2:
        middle = side // 2
        np.testing.assert_allclose(moved[:, middle, middle], nodes[:, 1, 1], atol=1e-3)
    steps = np.abs(np.diff(moved, axis=1)).max()
    assert steps < 8 * np.abs(nodes).max() / (side - 1)


def test_no_displacement_gives_the_crop_itself():
    image = np.random.default_rng(0).integers(0, 60000, (40, 50)).astype(np.uint16)
    places = np.mgrid[3:19, 7:23].astype(np.float32)
    crop = image[3:19, 7:23]
    np.testing.assert_array_equal(sampled(image, places, smooth=True), crop)
    found = sampled(image, places, smooth=False)
    np.testing.assert_array_equal(found, crop)
    assert found.dtype == np.uint16


@pytest.mark.parametrize("smooth", [True, False])
def test_beyond_the_edge_the_image_is_mirrored(smooth):
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    found = sampled(image, np.mgrid[-2:0, -1:1].astype(np.float32), smooth=smooth)
    np.testing.assert_array_equal(found, [[4, 4], [0, 0]])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_pixels_are_looked_up_as_scipy_does(height, width, seed):
    random = np.random.default_rng(seed)
    image = random.uniform(0, 1, (height, width)).astype(np.float32)
    places = random.uniform(-0.9, 1.9, (2, 5, 6)) * np.array([height, width])[:, None, None]
    places = places.astype(np.float32)
    expected = ndimage.map_coordinates(image, places, order=1, mode="reflect")
    # OpenCV interpolates at 1/32 of a pixel.
    np.testing.assert_allclose(sampled(image, places, smooth=True), expected, atol=0.07)


def test_labels_stay_labels():
    label = np.array([[0, 255], [2, 0]], np.uint8)
    random = np.random.default_rng(0)
    for _ in range(20):
        places = random.uniform(-3, 5, (2, 6, 6)).astype(np.float32)
        assert set(np.unique(sampled(label, places, smooth=False))) <= {0, 2, 255}


def by_the_paper(instances, w0, sigma):
    """Return the weights from every object's distance over the whole image."""
    numbers = [n for n in np.unique(instances) if n]
    if len(numbers) < 2:
        return np.ones(instances.shape)
    distances = np.sort([ndimage.distance_transform_edt(instances != n) for n in numbers], axis=0)
    weights = 1 + w0 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    return np.where(instances > 0, 1, weights)


@st.composite
def maps(draw):
    instances = np.zeros((draw(st.integers(5, 60)), draw(st.integers(5, 60))), np.int32)
    for _ in range(draw(st.integers(0, 6))):
        top, left = draw(st.integers(0, instances.shape[0] - 1)), draw(st.integers(0, 50))
        number = draw(st.integers(1, 9))
        instances[top : top + draw(st.integers(1, 9)), left : left + draw(st.integers(1, 9))] = (
            number
        )
    return instances


@settings(max_examples=60)
@given(maps(), st.sampled_from([2.0, 5.0]))
def test_the_weights_are_the_paper_s(instances, sigma):
    found = border_weights(instances, sigma=sigma)
    assert (found.shape, found.dtype) == (instances.shape, np.float32)
    np.testing.assert_allclose(found, by_the_paper(instances, 10.0, sigma), atol=1e-3)


def test_a_gap_of_one_pixel_weighs_most():
    instances = np.zeros((9, 21), np.int32)
    instances[:, :10], instances[:, 11:] = 1, 2
    weights = border_weights(instances)
    assert weights[4, 10] == pytest.approx(1 + 10 * np.exp(-(2**2) / 50))
    assert (weights[instances > 0] == 1).all()


def test_a_lone_object_has_no_border_to_keep():
    instances = np.zeros((9, 9), np.uint16)
    instances[3:5, 3:5] = 7
    assert (border_weights(instances) == 1).all()
