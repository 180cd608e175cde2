import numpy as np
import pytest
from onnx import helper

from tests.convert.graphs import model_of, rand
from unetrt.convert.tracing.size_multiple import size_multiple

make = helper.make_node
POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}


def chain(*nodes, constants=None, sides=("height", "width")):
    return model_of(nodes, {"x": ["batch", 1, *sides]}, {"y": ["batch", 1, "h", "w"]}, constants)


def test_two_poolings_make_it_four_whatever_comes_back():
    nodes = [
        make("MaxPool", ["x"], ["a"], **POOL),
        make("MaxPool", ["a"], ["b"], **POOL),
        make("ConvTranspose", ["b", "w"], ["y"], strides=[4, 4]),
    ]
    assert size_multiple(chain(*nodes, constants={"w": rand(1, 1, 4, 4)})) == 4


@pytest.mark.parametrize("way", ["resize", "transposed"])
def test_a_second_hourglass_does_not_multiply_the_first(way):
    up = {
        "resize": ["Resize", ["a", "", "scales"]],
        "transposed": ["ConvTranspose", ["a", "w"]],
    }[way]
    nodes = [
        make("MaxPool", ["x"], ["a"], **POOL),
        make(*up, ["b"], **({"strides": [2, 2]} if way == "transposed" else {})),
        make("MaxPool", ["b"], ["y"], **POOL),
    ]
    constants = {"scales": np.array([1, 1, 2, 2], np.float32), "w": rand(1, 1, 2, 2)}
    used = "scales" if way == "resize" else "w"
    assert size_multiple(chain(*nodes, constants={used: constants[used]})) == 2


def test_paths_of_different_strides_meet_in_their_common_multiple():
    nodes = [
        make("MaxPool", ["x"], ["a"], kernel_shape=[2, 3], strides=[2, 3]),
        make("Relu", ["a"], ["y"]),
    ]
    assert size_multiple(chain(*nodes)) == 6
