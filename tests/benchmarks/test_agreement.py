import numpy as np
import pytest

from tests.fakes.candidates import FakeCandidate, prediction_of
from unetrt.benchmarks.agreement import Reference, check_agreement
from unetrt.errors import BadInput, ParityError

RIGHT = Reference("keras", prediction_of(0.1, 0.9))


def agreement(prediction, precision="fp32", reference=RIGHT):
    return check_agreement(FakeCandidate(prediction=prediction, precision=precision), reference)


def test_a_tolerance_is_its_precision_s():
    assert agreement(prediction_of(0.15, 0.9), "fp16").max_abs_diff == pytest.approx(0.05)
    with pytest.raises(ParityError, match=r"off by 0.05, expected at most 0.0001 in fp32; a wrong"):
        agreement(prediction_of(0.15, 0.9))
    with pytest.raises(ParityError, match="off by nan"):
        agreement(prediction_of(float("nan"), 0.9), "int8")


def test_bfloat16_does_not_excuse_a_prediction_in_the_middle_of_everything():
    with pytest.raises(ParityError, match="off by 0.45, expected at most 0.4 in bf16"):
        agreement(prediction_of(0.55, 0.5), "bf16")


def test_labels_are_compared_where_probabilities_say_nothing():
    with pytest.raises(ParityError, match=r"50 % of the labels differ, expected at most 1 % in"):
        agreement(prediction_of(0.9, 0.9), "int8")
    labels = np.uint8([[[0, 1]]])
    found = agreement(labels, "fp16")
    assert (found.max_abs_diff, found.labels_that_differ) == (None, 0.0)
    with pytest.raises(ParityError, match="100 % of the labels differ"):
        agreement(1 - labels, "fp16")
    assert agreement(prediction_of(0.1, 0.9), reference=Reference("t", labels)).max_abs_diff is None


def test_a_sigmoid_s_channel_has_labels_too():
    one = np.float32([0.1, 0.9]).reshape(1, 1, 2, 1)
    assert agreement(one, reference=Reference("k", one)).labels_that_differ == 0.0


def test_other_shapes_are_refused():
    with pytest.raises(ParityError, match="gives another shape than keras"):
        agreement(prediction_of(0.1, 0.9, 0.9))
    with pytest.raises(ParityError, match="gives another shape than keras"):
        agreement(np.uint8([[[0, 1, 1]]]))


def test_what_shows_no_prediction_cannot_be_checked():
    class Mute:
        name = "mute"

    with pytest.raises(BadInput, match="mute does not show its prediction"):
        check_agreement(Mute(), RIGHT)
