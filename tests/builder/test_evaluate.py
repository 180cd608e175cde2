import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unetrt.builder.evaluate import evaluate, hd95
from unetrt.data import IGNORED, Sample

pytestmark = pytest.mark.tf

CLASSES = ("background", "cell")
MASKS = arrays(np.bool_, (9, 11)).filter(lambda mask: mask.any())


@pytest.fixture(scope="module")
def bright(keras):
    """A model that calls pixels above 100 a cell."""
    x = keras.Input((None, None, 1))
    y = keras.layers.Conv2D(2, 1, activation="softmax")(x)
    model = keras.Model(x, y)
    model.set_weights([np.array([[[[0.0, 1.0]]]]), np.array([100.0, 0.0])])
    return model


def sample(name, shown, true=None, **fields):
    image = np.where(shown, 200, 0).astype(np.uint8)[:, :, None]
    return Sample(name, image, np.asarray(shown if true is None else true, np.uint8), **fields)


def square(top, left, side=6):
    mask = np.zeros((30, 40), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_what_is_right_scores_one_at_no_distance(keras, bright):
    instances = square(2, 2).astype(np.int32) + 2 * square(15, 20)
    samples = [sample("a", instances > 0, instances=instances)]
    found = evaluate(bright, samples, CLASSES, thorough=True).to_json()
    assert found["dice"] == found["iou"] == found["precision"] == found["recall"] == {"cell": 1.0}
    assert (found["hd95"], found["object_f1"], found["images"]) == ({"cell": 0.0}, 1.0, 1)
    assert found["per_image"]["a"]["hd95"] == {"cell": 0.0}


def test_a_shift_is_a_distance_and_a_missed_object_is_missed(keras, bright):
    shifted = sample("shifted", square(5, 9), square(5, 5))
    instances = square(2, 2).astype(np.int32) * 7 + 9 * square(20, 20)
    missed = sample("missed", square(2, 2), instances > 0, instances=instances)
    found = evaluate(bright, [shifted, missed], CLASSES, thorough=True)
    assert found.hd95 == {
        "cell": pytest.approx((4 + found.per_image["missed"]["hd95"]["cell"]) / 2)
    }
    assert found.object_f1 == pytest.approx(2 * 1 / (2 + 1))
    assert found.per_image["shifted"]["recall"] == {"cell": pytest.approx(12 / 36)}
    assert found.per_image["missed"]["precision"] == {"cell": 1.0}


def test_two_objects_that_are_predicted_as_one_are_not_found(keras, bright):
    instances = square(5, 5).astype(np.int32) + 2 * square(5, 11)
    found = evaluate(bright, [sample("a", instances > 0, instances=instances)], CLASSES,
                     thorough=True)  # fmt: skip
    assert found.dice == {"cell": 1.0}
    assert found.object_f1 == 0.0


def test_a_class_on_one_side_only_has_no_distance(keras, bright):
    nothing = np.zeros((8, 8), bool)
    found = evaluate(bright, [sample("a", ~nothing, nothing)], CLASSES, thorough=True)
    assert found.hd95 == {"cell": None}
    assert found.dice == {"cell": 0.0}


def test_nobody_is_judged_by_ignored_pixels(keras, bright):
    true = np.where(square(15, 20), IGNORED, square(2, 2))
    shown = square(2, 2) | square(15, 20)
    one = sample("a", shown, true, instances=square(2, 2).astype(np.int32))
    found = evaluate(bright, [one], CLASSES, thorough=True)
    assert found.dice == found.precision == {"cell": 1.0}
    assert (found.hd95, found.object_f1) == ({"cell": 0.0}, 1.0)


def test_a_quick_evaluation_leaves_out_what_takes_long_and_counts_as_it_goes(keras, bright):
    done = []
    samples = [sample("a", square(2, 2)), sample("b", square(3, 3))]
    found = evaluate(bright, samples, CLASSES, on_sample=done.append).to_json()
    assert done == [1, 2]
    assert not {"hd95", "object_f1", "per_image"} & set(found)


def test_an_unpadded_network_is_judged_over_the_whole_image(keras, bright):
    x = keras.Input((None, None, 1))
    inner = keras.Model(x, bright(keras.layers.Cropping2D(3)(x)))
    edge = np.zeros((20, 21), bool)
    edge[0, :], edge[:, -1] = True, True
    assert evaluate(inner, [sample("a", edge)], CLASSES).dice == {"cell": 1.0}


def test_turns_and_flips_change_nothing_for_a_network_that_turns_with_its_image(keras, bright):
    samples = [sample("a", square(2, 2), square(4, 4))]
    once = evaluate(bright, samples, CLASSES)
    assert evaluate(bright, samples, CLASSES, tta=True).dice == once.dice


def outline(mask):
    around = np.pad(mask, 1)
    inside = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return np.argwhere(mask & ~inside)


@given(MASKS, MASKS)
def test_it_is_the_percentile_of_the_distances_between_outlines(a, b):
    apart = np.linalg.norm(outline(a)[:, None] - outline(b)[None], axis=-1)
    expected = np.percentile([*apart.min(axis=0), *apart.min(axis=1)], 95)
    assert hd95(a, b) == pytest.approx(expected)
    assert hd95(b, a) == pytest.approx(expected)


@given(MASKS)
def test_a_mask_is_at_no_distance_from_itself(mask):
    assert hd95(mask, mask) == 0


@given(st.integers(1, 5))
def test_a_shifted_square_is_as_far_as_it_was_shifted(shift):
    a = np.zeros((30, 30), bool)
    a[5:25, 3:7] = True
    assert hd95(a, np.roll(a, shift, axis=1)) == pytest.approx(shift)


def test_images_of_one_size_and_of_many_are_each_judged_by_their_own_label(keras, bright):
    random = np.random.default_rng(0)
    sizes = [(30, 40), (12, 7), (30, 40), (5, 5), (12, 7)]
    samples = [sample(f"s{k}", random.random(size) > 0.5) for k, size in enumerate(sizes)]
    found = evaluate(bright, samples, CLASSES, thorough=True)
    assert found.dice == {"cell": 1.0}
    assert sorted(found.per_image) == [f"s{k}" for k in range(5)]


def test_an_image_too_large_to_be_held_is_predicted_in_parts_that_agree(keras, monkeypatch):
    from unetrt.builder import UNetSpec, build_unet
    from unetrt.builder import evaluate as module

    keras.utils.set_random_seed(0)
    model = build_unet(UNetSpec.small((None, None, 1), 2, filters=(2, 4), bottleneck=4))
    image = np.random.default_rng(0).integers(0, 255, (150, 90, 1), np.uint8)
    rule = UNetSpec.small((None, None, 1), 2, filters=(2, 4), bottleneck=4).sizes
    whole = module.predicted_classes(model, image, rule)
    monkeypatch.setattr(module, "_LARGE_PIXELS", 1000)
    monkeypatch.setattr(module, "_PART", 32)
    monkeypatch.setattr(module, "_AROUND", 32)
    seen = []
    predict = model.predict_on_batch
    monkeypatch.setattr(model, "predict_on_batch", lambda x: seen.append(x.shape) or predict(x))
    np.testing.assert_array_equal(module.predicted_classes(model, image, rule), whole)
    assert len(seen) == 15
    assert max(height * width for _, height, width, _ in seen) <= 96 * 96
