"""Free height and width where no node holds them."""

import numpy as np

from tests.convert.graphs import make, model_of, rand, run
from unetrt.convert.passes.free_axes import FreeAxes, holds_no_size


def test_free_axes_frees_what_no_node_fixes():
    nodes = [
        make("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        make("Conv", ["t", "w"], ["c"]),
        make("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
    ]
    shapes = {"x": ["n", 8, 8, 2]}, {"y": ["n", 8, 8, 3]}
    model = model_of(nodes, *shapes, {"w": rand(3, 2, 1, 1)})
    FreeAxes()(model)
    assert run(model, {"x": rand(2, 5, 7, 2)}).shape == (2, 5, 7, 3)


def test_a_reshape_holds_a_size():
    nodes = [make("Reshape", ["x", "to"], ["y"])]
    shapes = {"x": [1, 4, 4, 1]}, {"y": [1, 4, 4, 1]}
    model = model_of(nodes, *shapes, {"to": np.array([1, 4, 4, 1])})
    assert not holds_no_size(model)


def test_a_constant_that_differs_by_position_holds_a_size():
    model = model_of(
        [make("Add", ["x", "map"], ["y"])],
        {"x": ["n", 4, 4, 1]},
        {"y": ["n", 4, 4, 1]},
        {"map": rand(1, 4, 4, 1)},
    )
    assert not holds_no_size(model)
