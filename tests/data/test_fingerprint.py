import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unetrt.data import IGNORED, Dataset, Sample
from unetrt.data.fingerprint import Levels, Spread, fingerprint

_NUMBERS = itertools.count()


def dataset(*samples):
    return Dataset("made", ("background", "cell", "wall"), samples, samples[:1], samples[:1])


def sample(image, label=None, **fields):
    if label is None:
        label = np.zeros(image.shape[:2], np.uint8)
        label.flat[0] = 1
    return Sample(f"s{next(_NUMBERS)}", image, label, **fields)


@given(arrays(np.uint16, (7, 9, 1), elements=st.integers(0, 60000)))
def test_pixels_are_described_by_their_own_figures(image):
    image.flat[:2] = 0, 1  # not constant
    found = fingerprint(dataset(sample(image)))
    np.testing.assert_allclose(found.percentiles, np.percentile(image, (0, 0.5, 50, 99.5, 100)))
    assert found.mean == pytest.approx(image.mean())
    assert found.std == pytest.approx(image.std())
    clipped = np.clip(image, found.percentiles[1], found.percentiles[3])
    assert found.clipped_mean == pytest.approx(clipped.mean())
    assert found.clipped_std == pytest.approx(clipped.std(), abs=1e-6)
    assert found.dtype == "uint16"


def test_classes_are_counted_in_what_is_not_ignored():
    label = np.array([[0, 0, 0, 1], [2, 2, IGNORED, IGNORED]], np.uint8)
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 4, 1)
    empty = sample(np.zeros((2, 4, 1), np.uint8), np.zeros((2, 4), np.uint8))
    found = fingerprint(dataset(sample(pixels, label), empty))
    assert found.shares == {"background": 11 / 14, "cell": 1 / 14, "wall": 2 / 14}
    assert found.images_with == {"background": 2, "cell": 1, "wall": 1}
    assert found.ignored == 2 / 16
    assert found.constant == 1


def test_sizes_and_objects_are_spread_from_least_to_most():
    small = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
    instances = np.zeros((10, 20), np.int32)
    instances[0, :3], instances[5:8, :] = 4, 9
    large = sample(np.zeros((10, 20, 1), np.uint8), (instances > 0).astype(np.uint8),
                   instances=instances)  # fmt: skip
    found = fingerprint(dataset(sample(small), large))
    assert (found.height, found.width) == (Spread(3, 6, 10), Spread(4, 12, 20))
    assert (found.objects, found.object_pixels) == (2, Spread(3, 31, 60))
    rows = dict(found.rows())
    assert rows["images"] == "2 train, 1 val, 1 test"
    assert rows["height"] == "3 to 10, median 6"
    assert rows["objects"] == "2, pixels 3 to 60, median 31"
    assert "in 1 of 2 images" not in rows["class cell"]


def test_labels_without_numbers_have_no_objects():
    found = fingerprint(dataset(sample(np.arange(12, dtype=np.uint8).reshape(3, 4, 1))))
    assert found.objects is None
    assert "objects" not in dict(found.rows())


def test_grey_levels_are_those_of_a_class_in_each_file_and_a_volume_is_one():
    label = np.zeros((8, 8), np.uint8)
    label[:4] = 1

    def page(level, **fields):
        pixels = np.where(label == 1, level, 0)[..., None] + np.arange(8).reshape(1, 8, 1) % 2
        return sample(pixels.astype(np.float32), label, **fields)

    volume = [page(level, group="a.nii") for level in (90.0, 110.0)]
    found = fingerprint(dataset(*volume, page(1000.0), page(1000.0)))
    assert found.files == 3
    assert found.levels["cell"] == Levels(
        pytest.approx(np.percentile([100.5, 1000.5, 1000.5], 5)), 1000.5, 0.5
    )
    assert "wall" not in found.levels
    assert found.levels["cell"].drift > 1000
    rows = dict(found.rows())
    assert rows["images"] == "4 train of 3 files, 1 val, 1 test"
    assert rows["grey levels of cell"].endswith("by file, +-0.5 within one")


def placed(*views):
    """Return the symmetry of labels of two classes that each have their place, in some views."""
    label = np.zeros((32, 48), np.uint8)
    label[4:20, 4:12], label[4:20, 36:44] = 1, 2
    image = np.arange(label.size, dtype=np.uint16).reshape(*label.shape, 1)
    return fingerprint(dataset(*(sample(image, view(label)) for view in views))).symmetry


def test_where_sides_are_classes_a_mirrored_label_is_another():
    found = placed(*[np.copy] * 4)
    assert found.as_is == pytest.approx(1)
    assert found.mirrored < 0
    assert found.flipped < 0.9
    assert found.turned < 0.9


def test_where_images_lie_any_way_round_so_do_their_mirrors():
    views = (np.copy, np.fliplr, np.flipud, lambda label: label[::-1, ::-1])
    found = placed(*views * 20)
    assert found.mirrored == pytest.approx(found.flipped, rel=0.2)
    assert found.as_is == pytest.approx(found.mirrored, rel=0.1)


def test_each_channel_has_its_deviation():
    pixels = np.arange(24.0).reshape(3, 4, 2) * [1, 100]
    found = fingerprint(dataset(sample(pixels)))
    assert found.channel_stds == pytest.approx(pixels.std(axis=(0, 1)))


def test_one_label_has_no_symmetry_to_measure():
    assert fingerprint(dataset(sample(np.arange(12.0).reshape(3, 4, 1)))).symmetry is None
