"""Bind weights to the inputs that stood for them."""

import numpy as np

from tests.convert.graphs import make, model_of, rand, run
from unetrt.convert.passes.bind_weights import BindWeights


def test_bind_weights_turns_inputs_into_initialisers():
    nodes = [make("Add", ["x", "w0"], ["y"])]
    model = model_of(nodes, {"x": [3], "w0": [3]}, {"y": [3]})
    weight = rand(3)
    BindWeights({"w0": weight})(model)
    assert [value.name for value in model.graph.inputs] == ["x"]
    x = rand(3)
    np.testing.assert_allclose(run(model, {"x": x}), x + weight)
