"""A 16-bit image and its bytes are the same to the network."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.convert.engine_graphs import chain, make, save
from unetrt.convert.to_engine import with_byte_pairs
from unetrt.errors import UnsupportedModel


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "m.onnx"
    original = onnx.load(chain(path, "fp32", input_dtype="uint16").path)
    before = original.SerializeToString()
    paired = with_byte_pairs(original)
    assert original.SerializeToString() == before
    onnx.checker.check_model(paired, full_check=True)
    providers = ["CPUExecutionProvider"]
    return [
        ort.InferenceSession(m.SerializeToString(), providers=providers) for m in (original, paired)
    ]


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.uint16, (1, 3, 4, 4), elements=st.integers(0, 2**16 - 1)))
def test_pixels_and_their_bytes_give_the_same(sessions, pixels):
    original, paired = sessions
    octets = pixels.astype("<u2").view(np.uint8).reshape(*pixels.shape, 2)
    expected = original.run(None, {"image": pixels})[0]
    np.testing.assert_array_equal(paired.run(None, {"image": octets})[0], expected)


def test_other_inputs_are_left_as_they_are(tmp_path):
    assert with_byte_pairs(onnx.load(chain(tmp_path / "m.onnx", "fp32").path)) is None


def test_sixteen_bits_that_the_network_computes_with_are_refused(tmp_path):
    ends = {"x": ("uint16", (1, 4))}, {"y": ("uint16", (1, 4))}
    model = save(tmp_path / "m.onnx", [make("Identity", ["x"], ["y"], name="same")], *ends)
    with pytest.raises(UnsupportedModel, match=r"input 'x' is used as such: got node 'same' \(Id"):
        with_byte_pairs(onnx.load(model.path))
