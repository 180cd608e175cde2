import numpy as np
import pytest
from onnx import helper

from tests.convert.graphs import model_of, rand
from unetrt.convert.dynamic_sizes import size_rule
from unetrt.sizes import SizeRule

make = helper.make_node
POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}


def chain(*nodes, constants=None, sides=("height", "width"), answer=("h", "w")):
    """Return the NCHW nodes, from x to y, between NHWC edges."""
    nodes = [
        make("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2]),
        *nodes,
        make("Transpose", ["y"], ["answer"], perm=[0, 2, 3, 1]),
    ]
    shapes = {"image": ["batch", *sides, 1]}, {"answer": ["batch", *answer, 1]}
    return model_of(nodes, *shapes, constants)


def test_two_poolings_make_it_four_whatever_comes_back():
    nodes = [
        make("MaxPool", ["x"], ["a"], **POOL),
        make("MaxPool", ["a"], ["b"], **POOL),
        make("ConvTranspose", ["b", "w"], ["y"], strides=[4, 4]),
    ]
    assert size_rule(chain(*nodes, constants={"w": rand(1, 1, 4, 4)})) == SizeRule(4)


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
    assert size_rule(chain(*nodes, constants={used: constants[used]})) == SizeRule(2)


def test_paths_of_different_strides_meet_in_their_common_multiple():
    nodes = [
        make("MaxPool", ["x"], ["a"], kernel_shape=[2, 3], strides=[2, 3]),
        make("Relu", ["a"], ["y"]),
    ]
    assert size_rule(chain(*nodes)) == SizeRule(6)


@pytest.mark.parametrize(
    ("kernel", "rule"),
    [
        ((4, 4), SizeRule(2, 1, 2)),  # with what the pooling drops, two pixels at each edge
        ((5, 5), SizeRule(2)),  # an odd loss has no middle
        ((4, 6), SizeRule(2)),  # the sides do not lose alike
    ],
)
def test_an_answer_that_is_smaller_at_the_image_s_scale_has_a_margin(kernel, rule):
    nodes = [
        make("MaxPool", ["x"], ["a"], **POOL),
        make("ConvTranspose", ["a", "w"], ["b"], strides=[2, 2]),
        make("Conv", ["b", "k"], ["y"]),
    ]
    graph = chain(
        *nodes,
        constants={"w": rand(1, 1, 2, 2), "k": rand(1, 1, *kernel)},
        sides=(21, 29),
        answer=(21 - kernel[0], 29 - kernel[1]),
    )
    assert size_rule(graph) == rule


def test_an_answer_at_half_the_scale_has_no_margin():
    graph = chain(make("MaxPool", ["x"], ["y"], **POOL), sides=(64, 64), answer=(32, 32))
    assert size_rule(graph) == SizeRule(2)
