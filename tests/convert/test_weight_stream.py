import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from unetrt.convert.weight_stream import _varint, save_streaming

RANDOM = np.random.default_rng(0)


def model_of(*arrays):
    """y = x + each array's sum, kept as initialisers of many sizes and types."""
    tensors = [numpy_helper.from_array(array, f"w{k}") for k, array in enumerate(arrays)]
    nodes, total = [], "x"
    for k in range(len(arrays)):
        nodes += [
            helper.make_node("Cast", [f"w{k}"], [f"c{k}"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", [f"c{k}"], [f"s{k}"], keepdims=0),
            helper.make_node("Add", [total, f"s{k}"], [f"y{k}"]),
        ]
        total = f"y{k}"
    edges = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, [1])] for n in ("x", total)]
    graph = helper.make_graph(nodes, "sums", *edges, tensors)
    opset = [helper.make_opsetid("", 17)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opset, ir_version=9))


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "int8", "uint8", "int32", "int64", ml_dtypes.bfloat16]
)
def test_weights_of_every_type_are_read_back_as_they_were(tmp_path, dtype):
    large = RANDOM.uniform(0, 100, (3, 20, 30)).astype(dtype)
    small = RANDOM.uniform(0, 100, (2, 3)).astype(dtype)
    save_streaming(model_of(large, small), tmp_path / "m.onnx")
    read = {
        t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "m.onnx").graph.initializer
    }
    assert set(read) == {"w0", "w1"}
    np.testing.assert_array_equal(read["w0"], large)
    np.testing.assert_array_equal(read["w1"], small)


def test_the_file_is_an_ordinary_onnx_file_to_every_reader(tmp_path):
    arrays = [RANDOM.uniform(0, 1, shape).astype("float32") for shape in ((40, 50), (2,), (999,))]
    model = model_of(*arrays)
    ir.save(model, tmp_path / "usual.onnx")
    save_streaming(model, tmp_path / "streamed.onnx")
    onnx.checker.check_model(str(tmp_path / "streamed.onnx"), full_check=True)
    x = np.zeros(1, "float32")
    usual, streamed = (
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"x": x})[0]
        for name in ("usual", "streamed")
    )
    np.testing.assert_array_equal(usual, streamed)
    assert len(ir.load(tmp_path / "streamed.onnx").graph.initializers) == 3
    same = [onnx.load(tmp_path / f"{name}.onnx") for name in ("usual", "streamed")]
    for proto in same:
        proto.graph.initializer.sort(key=lambda tensor: tensor.name)
    assert same[0] == same[1]


def test_tensorrt_rtx_parses_it(tmp_path):
    trt = pytest.importorskip("tensorrt_rtx")
    save_streaming(model_of(RANDOM.uniform(0, 1, (40, 50)).astype("float32")), tmp_path / "m.onnx")
    log = trt.Logger()
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    assert parser.parse((tmp_path / "m.onnx").read_bytes())


def test_the_model_is_left_as_it_was_also_when_the_disk_is_full(tmp_path):
    model = model_of(RANDOM.uniform(0, 1, (40, 50)).astype("float32"))
    before = ir.to_proto(model)
    save_streaming(model, tmp_path / "m.onnx")
    assert ir.to_proto(model) == before
    with pytest.raises(OSError, match="No such file"):
        save_streaming(model, tmp_path / "no-such-folder" / "m.onnx")
    assert ir.to_proto(model) == before


def test_a_weight_that_is_no_contiguous_array_is_written_in_its_own_order(tmp_path):
    array = RANDOM.uniform(0, 1, (40, 50)).astype("float32")
    model = model_of(array)
    model.graph.initializers["w0"].const_value = ir.tensor(array.T, name="w0")
    save_streaming(model, tmp_path / "m.onnx")
    (tensor,) = onnx.load(tmp_path / "m.onnx").graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), array.T)


@given(st.integers(0, 2**40))
def test_a_length_is_encoded_as_protobuf_decodes_it(number):
    ir_version = b"\x08" + _varint(number)  # field 1 of ModelProto
    assert onnx.ModelProto.FromString(ir_version).ir_version == number
