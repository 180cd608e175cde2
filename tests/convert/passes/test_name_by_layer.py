"""Name nodes and weights after their layers."""

from tests.convert.graphs import make, model_of, rand
from unetrt.convert.passes.name_by_layer import NameByLayer


def test_names_come_from_the_layers():
    nodes = [
        make("Conv", ["x", "w", "b"], ["c"], name="layer0x_1/convolution"),
        make("Relu", ["c"], ["r"], name="layer2x/Relu"),
        make("Relu", ["r"], ["y"], name="layer2x/Relu_1"),
    ]
    shapes = {"x": [1, 2, 8, 8]}, {"y": [1, 3, 8, 8]}
    model = model_of(nodes, *shapes, {"w": rand(3, 2, 1, 1), "b": rand(3)})
    owners = {"layer0x_1/convolution": "conv2d", "layer2x/Relu": "relu"}
    NameByLayer(owners.get)(model)
    assert [node.name for node in model.graph] == ["conv2d", "relu/relu", "relu/relu_2"]
    assert set(model.graph.initializers) == {"conv2d/kernel", "conv2d/bias"}
