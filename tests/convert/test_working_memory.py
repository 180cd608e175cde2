"""Memory is counted where the most is alive, each value by its own scale."""

import numpy as np
from onnx import helper
from onnx_ir.passes.common import ShapeInferencePass

from unetrt.convert.receptive_field import bytes_per_pixel

from .graphs import model_of


def test_the_most_that_is_alive_at_once():
    """x (1 channel) and a (8) while a is made; a and p (8 at a quarter); p alone and y."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        helper.make_node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Relu", ["p"], ["y"]),
    ]
    model = model_of(
        nodes,
        {"x": (1, 1, 32, 32)},
        {"y": (1, 8, 16, 16)},
        {"w": np.zeros((8, 1, 3, 3), np.float32)},
    )
    ShapeInferencePass()(model)
    assert bytes_per_pixel(model, "NCHW") == 4 * (8 + 8 / 4)


def test_a_skip_stays_alive_until_it_is_read():
    nodes = [
        helper.make_node("Relu", ["x"], ["skip"]),
        helper.make_node("Relu", ["skip"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["b", "skip"], ["y"]),
    ]
    model = model_of(nodes, {"x": (1, 3, 8, 8)}, {"y": (1, 3, 8, 8)})
    ShapeInferencePass()(model)
    assert bytes_per_pixel(model, "NCHW") == 4 * 3 * 3
