import numpy as np
import pytest

from unetrt.benchmarks.promises.zoo import compare, require_agreement, zoo_page
from unetrt.errors import ParityError

GOOD = {
    "package": "keras",
    "stage": "done",
    "parameters": 2_300_000,
    "input": [1, 128, 128, 3],
    "free_size": True,
    "size_multiple": 32,
    "nodes": 106,
    "transposes": 2,
    "size_arithmetic": 0,
    "difference": 1.5e-7,
    "fp16_difference": 7.7e-5,
    "convert_s": 2.93,
    "engine_s": 1.01,
    "fp16_share": 1.0,
    "casts": 2,
    "peak_rss_bytes": 2**30,
    "failure": None,
}
BAD = {"package": "medicai", "stage": "export", "failure": "UnsupportedModel: tf2onnx cannot"}


def page(models):
    machine = {"cpu": "a CPU", "cores": 2, "packages": {"keras": "3.15.1"}}
    return zoo_page({"machine": machine, "packages": {"keras": "3.15.1"}, "models": models})


def test_the_page_says_what_works_and_why_the_rest_does_not():
    text = page({"fcn": GOOD, "upernet": BAD, "pspnet": GOOD | {"free_size": False}})
    assert "2 of 3 work." in text
    assert (
        "| fcn | keras | yes | 2.3 | free, x32 | 106 | 2 | 0 | 1e-07 | 8e-05 | 2.9 | 1.0 | 100% "
        "| 2 | 1.0 |"
    ) in text
    assert "| upernet | medicai | no |" in text
    assert "- `upernet`, at the stage *export*: UnsupportedModel: tf2onnx cannot" in text
    assert "| 128x128 |" in text
    rows = [line for line in text.splitlines() if line[:1] == "|"]
    assert len(rows) == 5
    assert len({line.count("|") for line in rows}) == 1


def test_logits_are_compared_by_their_largest_magnitude():
    expected = [np.array([0.0, 40.0]), np.array([0.5, 0.5])]
    given = [np.array([0.0, 40.2]), np.array([0.5, 0.4])]
    found = compare(expected, given)
    assert found == pytest.approx({"difference": 0.005, "scale": 40.0, "spread": 1.0, "outputs": 2})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([0.0, 0.51], "ONNX Runtime disagrees with Keras: got 1.0e-02, expected at most 0.0001"),
        ([0.0, np.nan], "ONNX Runtime disagrees with Keras: got nan"),
    ],
)
def test_outputs_that_differ_are_refused(given, said):
    with pytest.raises(ParityError, match=said):
        require_agreement(compare([np.array([0.0, 0.5])], [np.array(given)]))


def test_a_constant_output_proves_nothing():
    constant = [np.full(9, 0.5)]
    with pytest.raises(ParityError, match="The output says nothing: got values within 0.0e"):
        require_agreement(compare(constant, constant))
    good = [np.linspace(0, 1, 9)]
    require_agreement(compare(good, good))
