"""Types and layouts at the edges of a graph: the same answer, and no stray node."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from tests.convert.graphs import model_of, operators, rand, run
from unetrt.convert import passes
from unetrt.errors import BadInput, UnsupportedModel

TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


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
    x = {"x": rand(2, 4, 5, 2)}
    expected = run(model, x)
    passes.LabelOutput(only=False)(model)
    assert [value.name for value in model.graph.outputs] == ["y", "labels"]
    assert operators(model) == ["Transpose", "Conv", "Transpose", "Softmax", "ArgMax", "Cast"]
    model.graph.outputs.reverse()  # `run` gives the first
    labels = run(model, x)
    np.testing.assert_array_equal(labels, expected.argmax(axis=-1))


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


def test_labels_of_a_sigmoid_behind_a_transposition():
    nodes = [
        helper.make_node("Sigmoid", ["x"], ["s"]),
        helper.make_node("Transpose", ["s"], ["y"], perm=TO_NHWC),
    ]
    shapes = {"x": ["batch", 1, "height", "width"]}, {"y": ["batch", "height", "width", 1]}
    model = model_of(nodes, *shapes)
    x = rand(2, 1, 3, 4)
    passes.LabelOutput(only=True)(model)
    np.testing.assert_array_equal(run(model, {"x": x}), x[:, 0] > 0)
    assert "Sigmoid" not in operators(model)


def test_labels_of_one_channel_without_a_sigmoid_are_refused():
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    shape = ["batch", "height", "width", 1]
    with pytest.raises(UnsupportedModel, match="one channel that no sigmoid makes"):
        passes.LabelOutput(only=True)(model_of(nodes, {"x": shape}, {"y": shape}))


def test_pixels_of_another_integer_type_are_refused():
    model = classifier()
    passes.IntegerInput(ir.DataType.UINT8)(model)
    with pytest.raises(BadInput, match="got uint8, expected float32, to be given as uint16"):
        passes.IntegerInput(ir.DataType.UINT16)(model)
