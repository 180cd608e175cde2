"""Each pass on the smallest graph that shows it: the nodes it leaves, and the same answer."""

import numpy as np
import pytest
from onnx import helper

from tests.convert.graphs import model_of, operators, rand, run
from unetrt.convert import passes


def batch_norm_in_nhwc(constant_shape=(3,)):
    """Conv -> Transpose -> Mul -> Add -> Relu -> Transpose, as tf2onnx leaves a batch norm."""
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="conv/convolution"),
        make("Transpose", ["c"], ["t"], name="conv/t1", perm=[0, 2, 3, 1]),
        make("Mul", ["t", "scale"], ["m"], name="norm/mul"),
        make("Add", ["m", "offset"], ["a"], name="norm/add"),
        make("Relu", ["a"], ["r"], name="relu/Relu"),
        make("Transpose", ["r"], ["y"], name="pool/t2", perm=[0, 3, 1, 2]),
    ]
    constants = {"w": rand(3, 2, 1, 1), "scale": rand(*constant_shape), "offset": rand(3)}
    shapes = {"x": ["n", 2, 8, 8]}, {"y": ["n", 3, 8, 8]}
    return model_of(nodes, *shapes, constants)


@pytest.mark.parametrize("constant_shape", [(3,), (1,), (), (1, 1, 1, 3)])
def test_sink_transpose_then_fold_affine_leave_one_convolution(constant_shape):
    model, x = batch_norm_in_nhwc(constant_shape), {"x": rand(2, 2, 8, 8)}
    before = run(model, x)
    passes.SinkTranspose()(model)
    assert operators(model) == ["Conv", "Mul", "Add", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)
    passes.FoldAffine()(model)
    assert operators(model) == ["Conv", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_a_pass_with_nothing_to_do_says_so():
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": [1]}, {"y": [1]})
    for one in (passes.SinkTranspose(), passes.FoldAffine(), passes.ReshapeToTranspose()):
        assert not one(model).modified


def test_fold_affine_leaves_a_factor_that_differs_by_position():
    make = helper.make_node
    nodes = [make("Conv", ["x", "w"], ["c"]), make("Mul", ["c", "map"], ["m"])]
    nodes.append(make("Relu", ["m"], ["y"]))
    constants = {"w": rand(3, 3, 1, 1), "map": rand(1, 1, 3, 1)}
    model = model_of(nodes, {"x": [1, 3, 3, 3]}, {"y": [1, 3, 3, 3]}, constants)
    passes.FoldAffine()(model)
    assert operators(model) == ["Conv", "Mul", "Relu"]


def test_fold_affine_leaves_a_convolution_that_others_read_too():
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["c"]),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["r"]),
        make("Add", ["r", "c"], ["y"]),
    ]
    model = model_of(
        nodes, {"x": [1, 2, 3, 3]}, {"y": [1, 2, 3, 3]}, {"w": rand(2, 2, 1, 1), "s": rand(2, 1, 1)}
    )
    passes.FoldAffine()(model)
    assert operators(model) == ["Conv", "Mul", "Relu", "Add"]


def test_fold_affine_folds_into_a_transposed_convolution():
    make = helper.make_node
    nodes = [
        make("ConvTranspose", ["x", "w", "b"], ["c"], strides=[2, 2]),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["y"]),
    ]
    constants = {"w": rand(2, 3, 2, 2), "b": rand(3), "s": rand(1, 3, 1, 1)}
    model = model_of(nodes, {"x": [1, 2, 4, 4]}, {"y": [1, 3, 8, 8]}, constants)
    x = {"x": rand(1, 2, 4, 4)}
    before = run(model, x)
    passes.FoldAffine()(model)
    assert operators(model) == ["ConvTranspose", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_free_axes_frees_what_no_node_fixes():
    make = helper.make_node
    nodes = [
        make("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        make("Conv", ["t", "w"], ["c"]),
        make("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
    ]
    shapes = {"x": ["n", 8, 8, 2]}, {"y": ["n", 8, 8, 3]}
    model = model_of(nodes, *shapes, {"w": rand(3, 2, 1, 1)})
    passes.FreeAxes()(model)
    assert run(model, {"x": rand(2, 5, 7, 2)}).shape == (2, 5, 7, 3)


def test_a_reshape_holds_a_size():
    nodes = [helper.make_node("Reshape", ["x", "to"], ["y"])]
    shapes = {"x": [1, 4, 4, 1]}, {"y": [1, 4, 4, 1]}
    model = model_of(nodes, *shapes, {"to": np.array([1, 4, 4, 1])})
    assert not passes.holds_no_size(model)


def test_bind_weights_turns_inputs_into_initialisers():
    nodes = [helper.make_node("Add", ["x", "w0"], ["y"])]
    model = model_of(nodes, {"x": [3], "w0": [3]}, {"y": [3]})
    weight = rand(3)
    passes.BindWeights({"w0": weight})(model)
    assert [value.name for value in model.graph.inputs] == ["x"]
    x = rand(3)
    np.testing.assert_allclose(run(model, {"x": x}), x + weight)


def test_names_come_from_the_layers():
    model = batch_norm_in_nhwc()
    passes.SinkTranspose()(model)
    passes.FoldAffine()(model)
    model.graph.node("conv/convolution").name = "layer0x_1/convolution"
    model.graph.node("relu/Relu").name = "layer2x/Relu"
    owners = {"layer0x_1/convolution": "conv2d", "layer2x/Relu": "relu"}
    passes.NameByLayer(owners.get)(model)
    assert [node.name for node in model.graph] == ["conv2d", "relu/relu"]
    assert set(model.graph.initializers) >= {"conv2d/kernel", "conv2d/bias"}


def test_fold_affine_leaves_a_convolution_whose_result_is_an_output():
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["c"]),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["y"]),
    ]
    shape = [1, 2, 3, 3]
    constants = {"w": rand(2, 2, 1, 1), "s": rand(2, 1, 1)}
    model = model_of(nodes, {"x": shape}, {"y": shape, "c": shape}, constants)
    passes.FoldAffine()(model)
    assert operators(model) == ["Conv", "Mul", "Relu"]


def test_fold_affine_folds_into_a_depthwise_convolution():
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "w"], ["c"], group=2),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["y"]),
    ]
    shape = [1, 2, 3, 3]
    model = model_of(nodes, {"x": shape}, {"y": shape}, {"w": rand(2, 1, 1, 1), "s": rand(2, 1, 1)})
    x = {"x": rand(*shape)}
    before = run(model, x)
    passes.FoldAffine()(model)
    assert operators(model) == ["Conv", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_fold_affine_leaves_a_grouped_transposed_convolution():
    make = helper.make_node
    nodes = [
        make("ConvTranspose", ["x", "w"], ["c"], group=2),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["y"]),
    ]
    shapes = {"x": [1, 2, 3, 3]}, {"y": [1, 4, 3, 3]}
    model = model_of(nodes, *shapes, {"w": rand(2, 2, 1, 1), "s": rand(4, 1, 1)})
    passes.FoldAffine()(model)
    assert operators(model) == ["ConvTranspose", "Mul", "Relu"]


def test_a_constant_that_differs_by_position_holds_a_size():
    model = model_of(
        [helper.make_node("Add", ["x", "map"], ["y"])],
        {"x": ["n", 4, 4, 1]},
        {"y": ["n", 4, 4, 1]},
        {"map": rand(1, 4, 4, 1)},
    )
    assert not passes.holds_no_size(model)
