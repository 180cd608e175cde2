import numpy as np
import pytest

from unetrt.data import Sample
from unetrt.errors import BadInput, ParityError
from unetrt.parity import compare
from unetrt.precision import Precision, Tolerance
from unetrt.sizes import SizeRule

CLASSES = ("background", "cell")
RANDOM = np.random.default_rng(0)
SAMPLES = [
    Sample(f"s{k}", RANDOM.integers(0, 255, (9, 11, 1)), RANDOM.integers(0, 2, (9, 11), np.uint8))
    for k in range(2)
]


def reference(x):
    p = x / 255
    return np.concatenate([1 - p, p], axis=-1).astype(np.float32)


def parity_of(candidate):
    return compare(("keras", reference), {"onnx": candidate}, SAMPLES, CLASSES, SizeRule(4))["onnx"]


def test_equal_predictors_agree_exactly():
    parity = parity_of(reference)
    assert (parity.max_abs_diff, parity.dice_diff) == (0, 0)
    parity.check(Tolerance(0, 0))


def test_one_pixel_far_off_is_found_and_the_culprit_named():
    def off(x):
        p = reference(x)
        p[0, 3, 3] += 0.25
        return p

    parity = parity_of(off)
    assert parity.max_abs_diff == pytest.approx(0.25)
    with pytest.raises(ParityError, match=r"onnx disagrees .*off by 0.25, expected at most 0.0001"):
        parity.check(Precision.FP32.tolerance)


def test_labels_that_tip_are_found_though_probabilities_hardly_differ():
    def tipped(x):
        return 0.5 + (reference(x) - 0.5)[..., ::-1] * 1e-3

    with pytest.raises(ParityError, match="a Dice off by"):
        parity_of(tipped).check(Tolerance(max_abs_diff=1, dice=1e-3))


def test_nan_never_passes():
    def broken(x):
        p = reference(x)
        p[0, 0, 0, 0] = np.nan
        return p

    with pytest.raises(ParityError, match="off by nan"):
        parity_of(broken).check(Precision.FP16.tolerance)


def test_two_of_one_name_are_refused():
    with pytest.raises(BadInput, match="have one name: got keras"):
        compare(("keras", reference), {"keras": reference}, SAMPLES, CLASSES, SizeRule(4))


def test_another_shape_is_named():
    with pytest.raises(ParityError, match="onnx gives another shape"):
        parity_of(lambda x: reference(x)[:, :4])


def test_an_unpadded_network_answers_with_a_margin_less():
    def inner(x):
        return reference(x)[:, 3:-3, 3:-3]

    parity = compare(("keras", inner), {"onnx": inner}, SAMPLES, CLASSES, SizeRule(4, 2, 3))["onnx"]
    assert parity.max_abs_diff == 0
    with pytest.raises(ParityError, match="onnx gives another shape"):
        compare(("keras", inner), {"onnx": reference}, SAMPLES, CLASSES, SizeRule(4, 2, 3))
