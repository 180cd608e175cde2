"""Fold factors and offsets into convolutions: the nodes that stay, and the same output."""

import numpy as np

from tests.convert.graphs import make, model_of, operators, rand, run
from unetrt.convert.passes.fold_affine import FoldAffine


def test_fold_affine_leaves_a_factor_that_differs_by_position():
    nodes = [make("Conv", ["x", "w"], ["c"]), make("Mul", ["c", "map"], ["m"])]
    nodes.append(make("Relu", ["m"], ["y"]))
    constants = {"w": rand(3, 3, 1, 1), "map": rand(1, 1, 3, 1)}
    model = model_of(nodes, {"x": [1, 3, 3, 3]}, {"y": [1, 3, 3, 3]}, constants)
    FoldAffine()(model)
    assert operators(model) == ["Conv", "Mul", "Relu"]


def test_fold_affine_leaves_a_convolution_that_others_read_too():
    nodes = [
        make("Conv", ["x", "w"], ["c"]),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["r"]),
        make("Add", ["r", "c"], ["y"]),
    ]
    model = model_of(
        nodes, {"x": [1, 2, 3, 3]}, {"y": [1, 2, 3, 3]}, {"w": rand(2, 2, 1, 1), "s": rand(2, 1, 1)}
    )
    FoldAffine()(model)
    assert operators(model) == ["Conv", "Mul", "Relu", "Add"]


def test_fold_affine_folds_into_a_transposed_convolution():
    nodes = [
        make("ConvTranspose", ["x", "w", "b"], ["c"], strides=[2, 2]),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["y"]),
    ]
    constants = {"w": rand(2, 3, 2, 2), "b": rand(3), "s": rand(1, 3, 1, 1)}
    model = model_of(nodes, {"x": [1, 2, 4, 4]}, {"y": [1, 3, 8, 8]}, constants)
    x = {"x": rand(1, 2, 4, 4)}
    before = run(model, x)
    FoldAffine()(model)
    assert operators(model) == ["ConvTranspose", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_fold_affine_leaves_a_convolution_whose_result_is_an_output():
    nodes = [
        make("Conv", ["x", "w"], ["c"]),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["y"]),
    ]
    shape = [1, 2, 3, 3]
    constants = {"w": rand(2, 2, 1, 1), "s": rand(2, 1, 1)}
    model = model_of(nodes, {"x": shape}, {"y": shape, "c": shape}, constants)
    FoldAffine()(model)
    assert operators(model) == ["Conv", "Mul", "Relu"]


def test_fold_affine_folds_into_a_depthwise_convolution():
    nodes = [
        make("Conv", ["x", "w"], ["c"], group=2),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["y"]),
    ]
    shape = [1, 2, 3, 3]
    model = model_of(nodes, {"x": shape}, {"y": shape}, {"w": rand(2, 1, 1, 1), "s": rand(2, 1, 1)})
    x = {"x": rand(*shape)}
    before = run(model, x)
    FoldAffine()(model)
    assert operators(model) == ["Conv", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_fold_affine_leaves_a_grouped_transposed_convolution():
    nodes = [
        make("ConvTranspose", ["x", "w"], ["c"], group=2),
        make("Mul", ["c", "s"], ["m"]),
        make("Relu", ["m"], ["y"]),
    ]
    shapes = {"x": [1, 2, 3, 3]}, {"y": [1, 4, 3, 3]}
    model = model_of(nodes, *shapes, {"w": rand(2, 2, 1, 1), "s": rand(4, 1, 1)})
    FoldAffine()(model)
    assert operators(model) == ["ConvTranspose", "Mul", "Relu"]
