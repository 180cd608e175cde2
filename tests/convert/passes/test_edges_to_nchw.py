"""Take and give NCHW without a stray node."""

import numpy as np

from tests.convert.graphs import classifier, operators, rand, run
from unetrt.convert.passes.edges_to_nchw import EdgesToNchw


def test_nchw_at_the_edges_leaves_no_transposition_of_the_image():
    model = classifier()
    x = rand(1, 4, 5, 2)
    before = run(model, {"x": x})
    EdgesToNchw()(model)
    assert operators(model) == ["Conv", "Softmax"]
    assert list(map(str, model.graph.inputs[0].shape)) == ["batch", "2", "height", "width"]
    assert list(map(str, model.graph.outputs[0].shape)) == ["batch", "3", "height", "width"]
    after = run(model, {"x": x.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(after.transpose(0, 2, 3, 1), before, atol=1e-6)
