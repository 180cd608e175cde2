"""Int8 as a pass: which nodes stand where, in which types."""

import numpy as np
import onnx_ir as ir
from onnx import helper
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

from tests.convert.graphs import model_of, operators, run
from tests.convert.oddities import rand
from unetrt.convert import passes
from unetrt.convert.precision import quantizable

make = helper.make_node


def small_unet():
    """Return a network of two levels; `deep` and `side` read one value."""
    nodes = [
        make("Conv", ["x", "w1"], ["a"], name="first", pads=[1, 1, 1, 1]),
        make("Relu", ["a"], ["b"], name="first_relu"),
        make("MaxPool", ["b"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        make("Conv", ["p", "w2", "bias"], ["c"], name="deep", pads=[1, 1, 1, 1]),
        make("Conv", ["p", "w3"], ["s"], name="side"),
        make("Add", ["c", "s"], ["e"], name="add"),
        make("ConvTranspose", ["e", "w4"], ["u"], name="up", strides=[2, 2]),
        make("Concat", ["b", "u"], ["k"], name="concat", axis=1),
        make("Conv", ["k", "w5"], ["l"], name="logits"),
        make("Softmax", ["l"], ["y"], name="softmax", axis=1),
    ]
    constants = {
        "w1": rand(8, 1, 3, 3) / 3,
        "w2": rand(8, 8, 3, 3) / 8,
        "bias": rand(8),
        "w3": rand(8, 8, 1, 1) / 3,
        "w4": rand(8, 8, 2, 2) / 3,
        "w5": rand(3, 16, 1, 1),
    }
    model = model_of(nodes, {"x": [1, 1, 16, 16]}, {"y": [1, 3, 16, 16]}, constants)
    ShapeInferencePass()(model)
    return model


def test_the_first_the_transposed_and_the_kept_convolutions_are_not_quantised():
    graph = small_unet().graph
    assert quantizable(graph) == {"deep": "p", "side": "p", "logits": "k"}
    assert quantizable(graph, {"deep", "logits"}) == {"side": "p"}


def test_a_convolution_with_a_computed_kernel_is_not_quantised():
    nodes = [
        make("Conv", ["x", "w"], ["a"], name="first"),
        make("Conv", ["a", "x"], ["y"], name="computed"),
    ]
    shape = [1, 1, 1, 1]
    model = model_of(nodes, {"x": shape}, {"y": shape}, {"w": rand(1, 1, 1, 1)})
    assert quantizable(model.graph) == {}


def test_weights_are_int8_and_one_pair_serves_all_that_read_a_value():
    model = small_unet()
    passes.Quantize({"deep": 4.0, "side": 4.0, "logits": 8.0})(model)
    RemoveUnusedNodesPass()(model)
    counts = {name: operators(model).count(name) for name in set(operators(model))}
    assert counts["QuantizeLinear"] == 2
    assert counts["DequantizeLinear"] == 2 + 3
    deep, side = model.graph.node("deep"), model.graph.node("side")
    assert deep.inputs[0] is side.inputs[0]
    assert deep.inputs[0].producer().inputs[0].producer().inputs[0].name == "p"
    kernel = deep.inputs[1].producer()
    assert kernel.attributes["axis"].as_int() == 0
    assert [value.dtype for value in kernel.inputs] == [
        ir.DataType.INT8,
        ir.DataType.FLOAT,
        ir.DataType.INT8,
    ]
    assert [value.const_value.shape.numpy() for value in kernel.inputs[1:]] == [(8,), (8,)]
    for node in model.graph:
        if node.op_type.endswith("Linear"):
            zero = node.inputs[2].const_value.numpy()
            assert zero.dtype == np.int8
            assert not zero.any()


def test_the_answers_stay_near():
    model = small_unet()
    x = {"x": rand(1, 1, 16, 16)}
    before = run(model, x)
    passes.Quantize({"deep": 4.0, "side": 4.0, "logits": 12.0})(model)
    after = run(model, x)
    assert 0 < np.abs(after - before).max() < 0.1


def test_a_transposed_kernel_is_scaled_along_its_second_axis():
    model = small_unet()
    passes.Quantize({"up": 8.0})(model)
    kernel = model.graph.node("up").inputs[1].producer()
    assert kernel.attributes["axis"].as_int() == 1
    assert np.isfinite(run(model, {"x": rand(1, 1, 16, 16)})).all()


def test_nothing_named_is_nothing_done():
    model = small_unet()
    assert not passes.Quantize({})(model).modified
