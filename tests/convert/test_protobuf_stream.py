import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from tests.convert.graphs import model_of, rand, run
from unetrt.convert.onnx_file import save


def convolution():
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"], name="conv")]
    shapes = {"x": ["n", 8, 4, 4]}, {"y": ["n", 64, 4, 4]}
    return model_of(nodes, *shapes, {"w": rand(64, 8, 1, 1), "b": rand(64)})


def test_the_file_is_the_one_that_protobuf_writes(tmp_path):
    model = convolution()
    model.metadata_props["k"] = "v"
    save(model, tmp_path / "m.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"), full_check=True)
    read, expected = onnx.load(tmp_path / "m.onnx"), ir.to_proto(model)
    weights = {w.name: onnx.numpy_helper.to_array(w).tolist() for w in read.graph.initializer}
    assert weights == {
        w.name: onnx.numpy_helper.to_array(w).tolist() for w in expected.graph.initializer
    }
    for part in (read.graph, expected.graph):
        del part.initializer[:], part.value_info[:]  # of initialisers, nobody needs any
    assert read == expected
    x = {"x": rand(2, 8, 4, 4)}
    assert (run(ir.load(tmp_path / "m.onnx"), x) == run(model, x)).all()


def test_the_model_is_as_it_was(tmp_path):
    model = convolution()
    save(model, tmp_path / "m.onnx")
    assert set(model.graph.initializers) == {"w", "b"}
    assert model.graph.initializers["w"].uses()


@pytest.mark.parametrize("dtype", ["FLOAT16", "BFLOAT16", "INT8", "INT64", "DOUBLE"])
def test_every_type_comes_back(tmp_path, dtype):
    own = ir.DataType[dtype]
    array = (rand(40, 40) * 100).astype(own.numpy())
    nodes = [helper.make_node("Cast", ["w"], ["y"], to=TensorProto.FLOAT)]
    model = model_of(nodes, {}, {"y": [40, 40]}, {"w": rand(40, 40)})
    weight = model.graph.initializers["w"]
    weight.const_value, weight.dtype = ir.tensor(array, dtype=own, name="w"), own
    save(model, tmp_path / "m.onnx")
    again = ir.load(tmp_path / "m.onnx").graph.initializers["w"].const_value
    assert again.dtype == own
    assert again.numpy().tobytes() == array.tobytes()
