"""Write reshapes of a single channel as transpositions."""

import numpy as np
from onnx_ir.passes.common import ShapeInferencePass

from tests.convert.graphs import make, model_of, operators, rand, run
from unetrt.convert.passes.reshape_to_transpose import ReshapeToTranspose


def test_reshape_that_moves_a_single_channel_becomes_a_transpose():
    nodes = [make("Reshape", ["x", "to"], ["r"], name="conv/r")]
    nodes.append(make("Relu", ["r"], ["y"]))
    model = model_of(
        nodes, {"x": ["n", 8, 6, 1]}, {"y": ["n", 1, 8, 6]}, {"to": np.array([-1, 1, 8, 6])}
    )
    x = {"x": rand(2, 8, 6, 1)}
    before = run(model, x)
    ReshapeToTranspose()(model)
    assert operators(model) == ["Transpose", "Relu"]
    np.testing.assert_array_equal(run(model, x), before)


def test_reshape_back_to_a_single_channel_becomes_a_transpose_where_the_graph_ends():
    nodes = [
        make("Relu", ["x"], ["r"]),
        make("Reshape", ["r", "to"], ["y"], name="back"),
    ]
    to = np.array([-1, 8, 6, 1])
    model = model_of(nodes, {"x": ["n", 1, 8, 6]}, {"y": ["n", 8, 6, 1]}, {"to": to})
    x = {"x": rand(2, 1, 8, 6)}
    before = run(model, x)
    ShapeInferencePass()(model)
    ReshapeToTranspose()(model)
    assert operators(model) == ["Relu", "Transpose"]
    np.testing.assert_array_equal(run(model, x), before)
