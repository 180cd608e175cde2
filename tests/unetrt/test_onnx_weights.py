"""Write weights behind a model: each is read back as it was."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from unetrt.onnx_weights import _varint, append_initializer


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 1, 5), (0,)])
def test_weights_after_the_model_are_its_own(tmp_path, shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    model = onnx.ModelProto(ir_version=8, graph=onnx.GraphProto(name="g"))
    with (tmp_path / "m.onnx").open("wb") as file:
        file.write(model.SerializeToString())
        for name in ("a", "b"):
            append_initializer(file, name, TensorProto.FLOAT, array)
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert (graph.name, [tensor.name for tensor in graph.initializer]) == ("g", ["a", "b"])
    for tensor in graph.initializer:
        again = onnx.numpy_helper.to_array(tensor)
        assert again.shape == shape
        assert (again == array).all()


def test_an_array_in_another_order_is_written_in_its_own(tmp_path):
    array = np.arange(6, dtype=">f4").reshape(2, 3).T
    with (tmp_path / "m.onnx").open("wb") as file:
        append_initializer(file, "w", TensorProto.FLOAT, array)
    (tensor,) = onnx.load(tmp_path / "m.onnx").graph.initializer
    assert (onnx.numpy_helper.to_array(tensor) == array).all()


@given(st.integers(0, 2**63 - 1))
@settings(max_examples=200)
def test_a_number_is_as_protobuf_reads_it(number):
    value = 0
    for place, byte in enumerate(_varint(number)):
        value |= (byte & 0x7F) << 7 * place
    assert value == number
    assert all(byte & 0x80 for byte in _varint(number)[:-1])
