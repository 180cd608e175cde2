"""Transpositions that meet and vanish, on the smallest graphs that show it."""

import numpy as np
import pytest
from onnx import helper
from onnx_ir.passes.common import ShapeInferencePass

from tests.convert.graphs import model_of, operators, rand, run
from unetrt.convert import passes

TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


def test_reshape_that_moves_a_single_channel_becomes_a_transpose():
    nodes = [helper.make_node("Reshape", ["x", "to"], ["r"], name="conv/r")]
    nodes.append(helper.make_node("Relu", ["r"], ["y"]))
    model = model_of(
        nodes, {"x": ["n", 8, 6, 1]}, {"y": ["n", 1, 8, 6]}, {"to": np.array([-1, 1, 8, 6])}
    )
    x = {"x": rand(2, 8, 6, 1)}
    before = run(model, x)
    passes.ReshapeToTranspose()(model)
    assert operators(model) == ["Transpose", "Relu"]
    np.testing.assert_array_equal(run(model, x), before)


def test_sink_transpose_gives_each_node_a_constant_of_its_own():
    make = helper.make_node
    nodes = [
        make("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        make("Mul", ["t", "s"], ["m"]),
        make("Mul", ["m", "s"], ["n"]),
        make("Transpose", ["n"], ["u"], perm=[0, 3, 1, 2]),
        make("Relu", ["u"], ["y"]),
    ]
    model = model_of(nodes, {"x": [1, 3, 4, 5]}, {"y": [1, 3, 4, 5]}, {"s": rand(3)})
    x = {"x": rand(1, 3, 4, 5)}
    before = run(model, x)
    passes.SinkTranspose()(model)
    assert operators(model) == ["Mul", "Mul", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_reshape_back_to_a_single_channel_becomes_a_transpose_where_the_graph_ends():
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Reshape", ["r", "to"], ["y"], name="back"),
    ]
    to = np.array([-1, 8, 6, 1])
    model = model_of(nodes, {"x": ["n", 1, 8, 6]}, {"y": ["n", 8, 6, 1]}, {"to": to})
    x = {"x": rand(2, 1, 8, 6)}
    before = run(model, x)
    ShapeInferencePass()(model)
    passes.ReshapeToTranspose()(model)
    assert operators(model) == ["Relu", "Transpose"]
    np.testing.assert_array_equal(run(model, x), before)


def in_nhwc(*middle, constants=None):
    """Return a graph in NCHW whose `middle`, from a and b to c, works in NHWC."""
    make = helper.make_node
    nodes = [
        make("Transpose", ["x"], ["a"], perm=TO_NHWC),
        make("Transpose", ["z"], ["b"], perm=TO_NHWC),
        *middle,
        make("Transpose", ["c"], ["t"], perm=TO_NCHW),
        make("Relu", ["t"], ["y"]),
    ]
    given = {"x": [1, 3, 4, 5], "z": [1, 3, 4, 5]}
    return model_of(nodes, given, {"y": [1, "c", "h", "w"]}, constants)


@pytest.mark.parametrize(
    ("middle", "constants"),
    [
        ([helper.make_node("Concat", ["a", "b"], ["c"], axis=3)], {}),
        ([helper.make_node("Add", ["a", "b"], ["c"])], {}),
        (
            [
                helper.make_node("Mul", ["a", "b"], ["m"]),
                helper.make_node("Pad", ["m", "pads"], ["c"]),
            ],
            {"pads": np.array([0, 1, 2, 0, 0, 0, 3, 0])},
        ),
        (
            [
                helper.make_node("ReduceMean", ["a"], ["m"], axes=[1, 2]),
                helper.make_node("Mul", ["m", "b"], ["c"]),
            ],
            {},
        ),
        (
            [
                helper.make_node("Sub", ["a", "b"], ["m"]),
                helper.make_node("Softmax", ["m"], ["c"], axis=-1),
            ],
            {},
        ),
    ],
)
def test_transposes_around_nodes_of_several_inputs_vanish(middle, constants):
    model = in_nhwc(*middle, constants=constants)
    x = {"x": rand(1, 3, 4, 5), "z": rand(1, 3, 4, 5)}
    before = run(model, x)
    passes.SinkTranspose()(model)
    assert operators(model) == [*(node.op_type for node in middle), "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_a_sum_that_drops_its_axes_stays_as_it_is():
    middle = [
        helper.make_node("ReduceMean", ["a"], ["m"], axes=[1, 2], keepdims=0),
        helper.make_node("Add", ["m", "b"], ["c"]),
    ]
    model = in_nhwc(*middle)
    x = {"x": rand(1, 3, 4, 5), "z": rand(1, 3, 4, 5)}
    before = run(model, x)
    passes.SinkTranspose()(model)
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


@pytest.mark.parametrize("opset", [17, 18])
def test_a_squeeze_and_excitation_block_has_no_transposition_left(opset):
    make = helper.make_node
    axes = {"axes": [1, 2]} if opset == 17 else {}
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="conv"),
        make("Transpose", ["c"], ["t"], name="t", perm=TO_NHWC),
        make("ReduceMean", ["t"] if axes else ["t", "axes"], ["m"], name="m", keepdims=0, **axes),
        make("Reshape", ["m", "to"], ["s"], name="s"),
        make("Conv", ["s", "w"], ["e"], name="e"),
        make("Sigmoid", ["e"], ["g"], name="g"),
        make("Reshape", ["g", "back"], ["b"], name="b"),
        make("Mul", ["t", "b"], ["p"], name="p"),
        make("Transpose", ["p"], ["u"], name="u", perm=TO_NCHW),
        make("Relu", ["u"], ["y"], name="r"),
    ]
    constants = {"w": rand(3, 3, 1, 1), "to": np.array([-1, 3, 1, 1])}
    constants |= {"back": np.array([-1, 1, 1, 3])}
    constants |= {} if axes else {"axes": np.array([1, 2])}
    shape = ["n", 3, 8, 6]
    model = model_of(nodes, {"x": shape}, {"y": shape}, constants, opset=opset)
    x = {"x": rand(2, 3, 8, 6)}
    before = run(model, x)
    ShapeInferencePass()(model)
    for rewrite in (passes.KeepReducedAxes(), passes.ReshapeToTranspose(), passes.SinkTranspose()):
        rewrite(model)
    assert operators(model) == ["Conv", "ReduceMean", "Conv", "Sigmoid", "Mul", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)
    assert passes.holds_no_size(model)
