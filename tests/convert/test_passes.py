"""Each pass on the smallest graph that shows it: the nodes it leaves, and the same answer."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper
from onnx_ir.passes.common import ShapeInferencePass

from tests.convert.graphs import model_of, operators, rand, run
from unetrt.convert import passes
from unetrt.errors import UnsupportedModel


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


def test_a_constant_that_differs_by_position_holds_a_size():
    model = model_of(
        [helper.make_node("Add", ["x", "map"], ["y"])],
        {"x": ["n", 4, 4, 1]},
        {"y": ["n", 4, 4, 1]},
        {"map": rand(1, 4, 4, 1)},
    )
    assert not passes.holds_no_size(model)


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


TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


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


def classifier():
    """Return a graph NHWC in and out: one convolution to three classes, and their softmax."""
    make = helper.make_node
    nodes = [
        make("Transpose", ["x"], ["t"], name="first", perm=TO_NCHW),
        make("Conv", ["t", "w"], ["l"], name="conv"),
        make("Transpose", ["l"], ["p"], name="last", perm=TO_NHWC),
        make("Softmax", ["p"], ["y"], name="softmax", axis=-1),
    ]
    shapes = {"x": ["batch", "height", "width", 2]}, {"y": ["batch", "height", "width", 3]}
    return model_of(nodes, *shapes, {"w": rand(3, 2, 1, 1)})


def test_integer_input_takes_bytes_and_computes_the_same():
    model = classifier()
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 5, 2), np.uint8)
    before = run(model, {"x": pixels.astype(np.float32)})
    passes.IntegerInput(ir.DataType.UINT8)(model)
    assert operators(model) == ["Cast", "Transpose", "Conv", "Transpose", "Softmax"]
    np.testing.assert_array_equal(run(model, {"x": pixels}), before)


def test_labels_are_the_largest_score_without_softmax_or_transposition():
    model = classifier()
    x = {"x": rand(2, 4, 5, 2)}
    expected = run(model, x).argmax(axis=-1)
    passes.LabelOutput(only=True)(model)
    assert operators(model) == ["Transpose", "Conv", "ArgMax", "Cast"]
    labels = run(model, x)
    assert labels.dtype == np.uint8
    assert model.graph.outputs[0].name == "labels"
    np.testing.assert_array_equal(labels, expected)


def test_labels_stand_beside_the_probabilities():
    model = classifier()
    passes.LabelOutput(only=False)(model)
    assert [value.name for value in model.graph.outputs] == ["y", "labels"]
    assert operators(model) == ["Transpose", "Conv", "Transpose", "Softmax", "ArgMax", "Cast"]


def test_labels_of_one_channel_are_ones_above_one_half():
    nodes = [helper.make_node("Sigmoid", ["x"], ["y"])]
    shape = ["batch", "height", "width", 1]
    model = model_of(nodes, {"x": shape}, {"y": shape})
    x = rand(1, 3, 4, 1)
    passes.LabelOutput(only=True)(model)
    np.testing.assert_array_equal(run(model, {"x": x}), x[..., 0] > 0)


def test_labels_of_more_classes_than_a_byte_counts_are_refused():
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    shape = ["batch", "height", "width", 300]
    with pytest.raises(UnsupportedModel, match="300 classes, expected at most 256"):
        passes.LabelOutput(only=True)(model_of(nodes, {"x": shape}, {"y": shape}))


def test_nchw_at_the_edges_leaves_no_transposition_of_the_image():
    model = classifier()
    x = rand(1, 4, 5, 2)
    before = run(model, {"x": x})
    passes.EdgesToNchw()(model)
    assert operators(model) == ["Conv", "Softmax"]
    assert list(map(str, model.graph.inputs[0].shape)) == ["batch", "2", "height", "width"]
    assert list(map(str, model.graph.outputs[0].shape)) == ["batch", "3", "height", "width"]
    after = run(model, {"x": x.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(after.transpose(0, 2, 3, 1), before, atol=1e-6)


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
