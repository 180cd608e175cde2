"""Put out labels instead of probabilities, or beside them."""

import numpy as np
import pytest

from tests.convert.graphs import classifier, make, model_of, operators, rand, run
from unetrt.convert.passes.label_output import LabelOutput
from unetrt.errors import UnsupportedModel
from unetrt.tensors import TO_NHWC


def test_labels_are_the_largest_score_without_softmax_or_transposition():
    model = classifier()
    x = {"x": rand(2, 4, 5, 2)}
    expected = run(model, x).argmax(axis=-1)
    LabelOutput(only=True)(model)
    assert operators(model) == ["Transpose", "Conv", "ArgMax", "Cast"]
    labels = run(model, x)
    assert labels.dtype == np.uint8
    assert model.graph.outputs[0].name == "labels"
    np.testing.assert_array_equal(labels, expected)


def test_labels_stand_beside_the_probabilities():
    model = classifier()
    x = {"x": rand(2, 4, 5, 2)}
    expected = run(model, x)
    LabelOutput(only=False)(model)
    assert [value.name for value in model.graph.outputs] == ["y", "labels"]
    assert operators(model) == ["Transpose", "Conv", "Transpose", "Softmax", "ArgMax", "Cast"]
    model.graph.outputs.reverse()  # `run` gives the first
    labels = run(model, x)
    np.testing.assert_array_equal(labels, expected.argmax(axis=-1))


def test_labels_of_one_channel_are_ones_above_one_half():
    nodes = [make("Sigmoid", ["x"], ["y"])]
    shape = ["batch", "height", "width", 1]
    model = model_of(nodes, {"x": shape}, {"y": shape})
    x = rand(1, 3, 4, 1)
    LabelOutput(only=True)(model)
    np.testing.assert_array_equal(run(model, {"x": x}), x[..., 0] > 0)


def test_labels_of_more_classes_than_a_byte_counts_are_refused():
    nodes = [make("Relu", ["x"], ["y"])]
    shape = ["batch", "height", "width", 300]
    with pytest.raises(UnsupportedModel, match="300 classes, expected at most 256"):
        LabelOutput(only=True)(model_of(nodes, {"x": shape}, {"y": shape}))


def test_labels_of_a_sigmoid_behind_a_transposition():
    nodes = [
        make("Sigmoid", ["x"], ["s"]),
        make("Transpose", ["s"], ["y"], perm=TO_NHWC),
    ]
    shapes = {"x": ["batch", 1, "height", "width"]}, {"y": ["batch", "height", "width", 1]}
    model = model_of(nodes, *shapes)
    x = rand(2, 1, 3, 4)
    LabelOutput(only=True)(model)
    np.testing.assert_array_equal(run(model, {"x": x}), x[:, 0] > 0)
    assert "Sigmoid" not in operators(model)


def test_labels_of_one_channel_without_a_sigmoid_are_refused():
    nodes = [make("Relu", ["x"], ["y"])]
    shape = ["batch", "height", "width", 1]
    with pytest.raises(UnsupportedModel, match="one channel that no sigmoid makes"):
        LabelOutput(only=True)(model_of(nodes, {"x": shape}, {"y": shape}))
