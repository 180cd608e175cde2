"""Retype graphs to half precision: the casts, the nodes kept, the operators it survives."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, checker
from onnx_ir.passes.common import (
    LiftConstantsToInitializersPass,
    RemoveUnusedNodesPass,
    ShapeInferencePass,
)

from tests.convert.graphs import ODDITIES, PICTURE, make, model_of, operators, rand, run
from unetrt.convert.passes.round_bfloat16 import RoundBfloat16
from unetrt.convert.passes.to_half import ToHalf
from unetrt.errors import UnsupportedModel
from unetrt.precision import Precision

HALF, BF16 = ir.DataType.FLOAT16, ir.DataType.BFLOAT16


def typed(model, half=HALF, keep=()):
    """Retype as `to_precision` does."""
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    ShapeInferencePass()(model)
    made = ToHalf(Precision.from_onnx(half.name), keep)
    made(model)
    RemoveUnusedNodesPass()(model)
    return made


def test_a_cast_that_is_there_is_respected():
    nodes = [
        make("Cast", ["x"], ["f"], to=TensorProto.FLOAT, name="cast"),
        make("Conv", ["f", "w"], ["y"], name="conv"),
    ]
    ends = {"x": ("uint8", [1, 1, 4, 4])}, {"y": [1, 1, 4, 4]}
    model = model_of(nodes, *ends, {"w": rand(1, 1, 1, 1)})
    x = {"x": np.full((1, 1, 4, 4), 200, np.uint8)}
    before = run(model, x)
    typed(model)
    assert operators(model) == ["Cast", "Cast", "Conv", "Cast"]
    np.testing.assert_allclose(run(model, x), before, rtol=1e-2)


def conv_then_softmax():
    nodes = [
        make("Mul", ["x", "s"], ["n"], name="rescaling/mul"),
        make("Conv", ["n", "w"], ["c"], name="logits"),
        make("Softmax", ["c"], ["p"], name="softmax", axis=1),
        make("Transpose", ["p"], ["y"], name="logits/transpose", perm=[0, 2, 3, 1]),
    ]
    constants = {"s": np.float32(1 / 65535), "w": rand(3, 2, 1, 1)}
    return model_of(nodes, {"x": [1, 2, 4, 4]}, {"y": [1, 4, 4, 3]}, constants)


def test_casts_stand_only_where_types_meet():
    model = conv_then_softmax()
    x = {"x": np.full((1, 2, 4, 4), 65535, np.float32)}
    before = run(model, x)
    typed(model)
    assert operators(model) == ["Mul", "Cast", "Conv", "Cast", "Softmax", "Transpose"]
    assert model.graph.node("logits").inputs[1].dtype == HALF
    after = run(model, x)
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, before, atol=2e-3)


def conv_then_sigmoid():
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="logits"),
        make("Sigmoid", ["c"], ["y"], name="out"),
    ]
    return model_of(nodes, {"x": [1, 2, 4, 4]}, {"y": [1, 3, 4, 4]}, {"w": rand(3, 2, 1, 1)})


def test_the_output_keeps_its_name_and_type():
    model = conv_then_sigmoid()
    typed(model)
    assert operators(model) == ["Cast", "Conv", "Sigmoid", "Cast"]
    assert model.graph.outputs[0].name == "y"
    assert run(model, {"x": rand(1, 2, 4, 4)}).dtype == np.float32


def test_a_layer_that_is_kept_stays_float32():
    model = conv_then_sigmoid()
    typed(model, keep={"out"})
    assert operators(model) == ["Cast", "Conv", "Cast", "Sigmoid"]


def test_what_follows_a_kept_layer_alone_stays_float32_up_to_the_next_convolution():
    nodes = [
        make("Conv", ["x", "w"], ["a"], name="first"),
        make("Relu", ["a"], ["b"], name="relu"),
        make("Conv", ["b", "w"], ["y"], name="second"),
    ]
    shape = [1, 1, 2, 2]
    model = model_of(nodes, {"x": shape}, {"y": shape}, {"w": np.full((1, 1, 1, 1), 300.0, "f4")})
    typed(model, keep={"first"})
    assert operators(model) == ["Conv", "Relu", "Cast", "Conv", "Cast"]


def test_it_tells_which_nodes_read_and_make_each_half_value():
    assert typed(conv_then_sigmoid()).users == {
        "x": ["logits"], "c": ["logits", "out"], "y": ["out"],
    }  # fmt: skip


def large_weights():
    nodes = [
        make("Conv", ["x", "huge"], ["c"], name="one"),
        make("Conv", ["c", "fine"], ["d"], name="two"),
        make("Conv", ["d", "vast"], ["y"], name="three"),
    ]
    weights = {
        name: np.full((1, 1, 1, 1), value, np.float32)
        for name, value in (("huge", 1e6), ("fine", 1), ("vast", -7e4))
    }
    return model_of(nodes, {"x": [1, 1, 2, 2]}, {"y": [1, 1, 2, 2]}, weights)


def test_weights_beyond_float16_are_an_error_that_names_them_unless_they_are_kept():
    words = (
        r"Weights do not fit fp16: got huge up to 1e\+06, vast up to 70000, "
        r"expected at most 65504; keep their layers in float32: `keep=\('one', 'three'\)`\.$"
    )
    with pytest.raises(UnsupportedModel, match=words):
        typed(large_weights())
    typed(large_weights(), keep={"one", "three"})
    typed(large_weights(), BF16)


@pytest.mark.parametrize("oddity", ODDITIES)
def test_float16_survives(oddity):
    model = ODDITIES[oddity]()
    x = {"x": PICTURE}
    before = run(model, x)
    typed(model)
    proto = ir.to_proto(model)
    checker.check_model(proto, full_check=True)
    for node in (model.graph.node("in"), model.graph.node("end")):
        assert node.inputs[0].dtype == node.inputs[1].dtype == HALF
    after = run(model, x)
    np.testing.assert_allclose(after, before, atol=3e-2, rtol=2e-2)


@pytest.mark.parametrize("oddity", ODDITIES)
def test_bfloat16_survives_and_its_simulation_is_near(oddity):
    from onnxscript.version_converter import convert_version

    model = ODDITIES[oddity]()
    x = {"x": PICTURE}
    before = run(model, x)
    convert_version(model, 22, fallback=True)
    typed(model, BF16)
    checker.check_model(ir.to_proto(model), full_check=True)
    for node in (model.graph.node("in"), model.graph.node("end")):
        assert node.inputs[0].dtype == node.inputs[1].dtype == BF16
    RoundBfloat16()(model)
    after = run(model, x)
    assert not np.array_equal(after, before)
    np.testing.assert_allclose(after, before, atol=0.25, rtol=0.1)


@pytest.mark.parametrize("half", [HALF, BF16], ids=["float16", "bfloat16"])
def test_tensorrt_rtx_builds_them_all(half):
    trt = pytest.importorskip("tensorrt_rtx")
    from onnxscript.version_converter import convert_version

    def builds(model):
        logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parsed = trt.OnnxParser(network, logger).parse(ir.to_proto(model).SerializeToString())
        config = builder.create_builder_config()
        return parsed and builder.build_serialized_network(network, config) is not None

    refused = []
    for name, graph in ODDITIES.items():
        model = graph()
        convert_version(model, 22, fallback=True)
        typed(model, half)
        if not builds(model):
            refused.append(name)
    assert refused == []


def test_bfloat16_leaves_transposed_convolutions_in_float32():
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="conv"),
        make("ConvTranspose", ["c", "t"], ["u"], name="up", strides=[2, 2]),
        make("Relu", ["u"], ["y"], name="relu"),
    ]
    constants = {"w": rand(2, 1, 1, 1), "t": rand(2, 1, 2, 2)}
    model = model_of(nodes, {"x": [1, 1, 2, 2]}, {"y": [1, 1, 4, 4]}, constants)
    typed(model, HALF)
    assert operators(model) == ["Cast", "Conv", "ConvTranspose", "Relu", "Cast"]
    from onnxscript.version_converter import convert_version

    model = model_of(nodes, {"x": [1, 1, 2, 2]}, {"y": [1, 1, 4, 4]}, constants)
    convert_version(model, 22, fallback=True)
    typed(model, BF16)
    assert operators(model) == ["Cast", "Conv", "Cast", "ConvTranspose", "Relu"]


def test_an_epsilon_too_small_for_float16_still_guards_the_root():
    model = ODDITIES["layer norm in pieces"]()
    typed(model)
    assert np.isfinite(run(model, {"x": np.zeros((1, 4, 8, 8), np.float32)})).all()


def test_labels_are_taken_from_half_values_as_they_are():
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="conv"),
        make("ArgMax", ["c"], ["l"], axis=1, keepdims=0),
        make("Cast", ["l"], ["y"], to=TensorProto.UINT8),
    ]
    ends = {"x": [1, 2, 4, 4]}, {"y": ("uint8", [1, 4, 4])}
    model = model_of(nodes, *ends, {"w": rand(3, 2, 1, 1)})
    typed(model)
    assert operators(model) == ["Cast", "Conv", "ArgMax", "Cast"]
    assert run(model, {"x": rand(1, 2, 4, 4)}).dtype == np.uint8
