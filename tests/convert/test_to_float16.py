"""Half precision as a pass: where it casts, what it keeps."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.convert.graphs import model_of, operators, rand, run
from unetrt.convert import passes
from unetrt.errors import UnsupportedModel


def test_to_float16_respects_a_cast_that_is_there():
    make = helper.make_node
    nodes = [
        make("Cast", ["x"], ["f"], to=TensorProto.FLOAT, name="cast"),
        make("Conv", ["f", "w"], ["y"], name="conv"),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])],
        [numpy_helper.from_array(rand(1, 1, 1, 1), "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    model = ir.from_proto(helper.make_model(graph, opset_imports=opset, ir_version=8))
    ir.passes.common.ShapeInferencePass()(model)
    x = {"x": np.full((1, 1, 4, 4), 200, np.uint8)}
    before = run(model, x)
    passes.ToFloat16()(model)
    ir.passes.common.RemoveUnusedNodesPass()(model)
    assert operators(model) == ["Cast", "Cast", "Conv", "Cast"]
    np.testing.assert_allclose(run(model, x), before, rtol=1e-2)


def conv_then_softmax():
    make = helper.make_node
    nodes = [
        make("Mul", ["x", "s"], ["n"], name="rescaling/mul"),
        make("Conv", ["n", "w"], ["c"], name="logits"),
        make("Softmax", ["c"], ["p"], name="softmax", axis=1),
        make("Transpose", ["p"], ["y"], name="logits/transpose", perm=[0, 2, 3, 1]),
    ]
    constants = {"s": np.float32(1 / 65535), "w": rand(3, 2, 1, 1)}
    model = model_of(nodes, {"x": [1, 2, 4, 4]}, {"y": [1, 4, 4, 3]}, constants)
    ir.passes.common.ShapeInferencePass()(model)
    return model


def test_to_float16_casts_only_where_types_meet():
    model = conv_then_softmax()
    x = {"x": np.full((1, 2, 4, 4), 65535, np.float32)}
    before = run(model, x)
    passes.ToFloat16()(model)
    ir.passes.common.RemoveUnusedNodesPass()(model)
    assert operators(model) == ["Mul", "Cast", "Conv", "Cast", "Softmax", "Transpose"]
    assert model.graph.node("logits").inputs[1].dtype == ir.DataType.FLOAT16
    after = run(model, x)
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, before, atol=2e-3)


def conv_then_sigmoid():
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="logits"),
        make("Sigmoid", ["c"], ["y"], name="out"),
    ]
    model = model_of(nodes, {"x": [1, 2, 4, 4]}, {"y": [1, 3, 4, 4]}, {"w": rand(3, 2, 1, 1)})
    ir.passes.common.ShapeInferencePass()(model)
    return model


def test_to_float16_keeps_the_output_s_name_and_type():
    model = conv_then_sigmoid()
    passes.ToFloat16()(model)
    assert operators(model) == ["Cast", "Conv", "Sigmoid", "Cast"]
    assert model.graph.outputs[0].name == "y"
    assert run(model, {"x": rand(1, 2, 4, 4)}).dtype == np.float32


def test_to_float16_keeps_what_it_is_told_to():
    model = conv_then_sigmoid()
    passes.ToFloat16(("out",))(model)
    assert operators(model) == ["Cast", "Conv", "Cast", "Sigmoid"]


def test_a_weight_beyond_float16_is_an_error_that_names_it_unless_it_is_kept():
    def model():
        nodes = [helper.make_node("Conv", ["x", "huge"], ["y"], name="layer")]
        huge = np.full((1, 1, 1, 1), 1e6, np.float32)
        return model_of(nodes, {"x": [1, 1, 2, 2]}, {"y": [1, 1, 2, 2]}, {"huge": huge})

    words = r"huge does not fit float16: got values up to 1e\+06, expected at most 65504.*--keep"
    with pytest.raises(UnsupportedModel, match=words):
        passes.ToFloat16()(model())
    passes.ToFloat16(("layer",))(model())
