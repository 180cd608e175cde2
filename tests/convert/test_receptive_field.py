"""Bound receptive fields and memory: changing a pixel further off changes nothing."""

import numpy as np
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from tests.convert.graphs import make, model_of, rand, run
from unetrt.convert.receptive_field import bytes_per_pixel, receptive_field
from unetrt.sizes import ReceptiveField


def _convolution(name, x, y, kernel=3, **attributes):
    return make("Conv", [x, f"{name}_w"], [y], name=name, **attributes)


def _weights(*shape):
    return np.abs(rand(*shape)) + 0.1  # nothing cancels


def _graph(nodes, constants, *, sides=(32, 32), out="y", out_sides=None):
    out_sides = out_sides or sides
    return model_of(nodes, {"x": (1, 1, *sides)}, {out: (1, 1, *out_sides)}, constants)


def _measured(model, side=32):
    """Return how far around its own place some output really depends on pixels."""
    base = rand(1, 1, side, side)
    whole = run(model, {"x": base})
    before = after = 0
    for place in range(side):
        changed = base.copy()
        changed[..., place, :] += 1
        differs = np.flatnonzero(np.any(run(model, {"x": changed}) != whole, axis=(0, 1, 3)))
        if differs.size:
            before = max(before, differs.max() - place)
            after = max(after, place - differs.min())
    return before, after


CHAINS = {
    "one convolution": ([_convolution("a", "x", "y", pads=[1] * 4)], {"a_w": (1, 1, 3, 3)}, 1, 1),
    "dilated": (
        [_convolution("a", "x", "y", pads=[2] * 4, dilations=[2, 2])],
        {"a_w": (1, 1, 3, 3)}, 2, 2,
    ),
    "uneven": (
        [_convolution("a", "x", "y", pads=[0, 0, 3, 3])],
        {"a_w": (1, 1, 4, 4)}, 0, 3,
    ),
    "pooled and scaled up": (
        [
            _convolution("a", "x", "p", pads=[1] * 4),
            make("MaxPool", ["p"], ["q"], kernel_shape=[2, 2], strides=[2, 2]),
            _convolution("b", "q", "r", pads=[1] * 4),
            make(
                "ConvTranspose", ["r", "c_w"], ["y"], strides=[2, 2], pads=[0, 0, 1, 1]
            ),
        ],
        {"a_w": (1, 1, 3, 3), "b_w": (1, 1, 3, 3), "c_w": (1, 1, 3, 3)}, 5, 4,
    ),
    "strided and resized": (
        [
            _convolution("a", "x", "p", pads=[0, 0, 1, 1], strides=[2, 2]),
            make("Resize", ["p", "", "scales"], ["y"], mode="linear",
                             coordinate_transformation_mode="half_pixel"),
        ],
        {"a_w": (1, 1, 3, 3), "scales": [1.0, 1.0, 2.0, 2.0]}, None, None,
    ),
    "depth to space": (
        [
            _convolution("a", "x", "p", pads=[0, 0, 0, 0], strides=[2, 2]),
            make("DepthToSpace", ["p"], ["y"], blocksize=2),
        ],
        {"a_w": (4, 1, 2, 2)}, 1, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_depends_on_no_pixel_outside_its_receptive_field(name):
    nodes, shapes, before, after = CHAINS[name]
    constants = {
        key: np.asarray(shape, np.float32) if key == "scales" else _weights(*shape)
        for key, shape in shapes.items()
    }
    model = _graph(nodes, constants)
    found = receptive_field(model, "NCHW")
    assert found.is_bounded
    measured = _measured(model)
    assert found.before[0] >= measured[0]
    assert found.after[0] >= measured[1]
    assert found.before[0] + found.after[0] <= sum(measured) + 4  # and not much more
    if before is not None:
        assert (found.before, found.after) == ((before,) * 2, (after,) * 2)


def test_a_network_without_padding_depends_on_what_comes_after_only():
    nodes = [
        _convolution("a", "x", "p"),
        make("Slice", ["p", "starts", "ends", "axes"], ["q"]),
        _convolution("b", "p", "r"),
        make("Add", ["q", "r"], ["y"]),
    ]
    constants = {
        "a_w": _weights(1, 1, 3, 3),
        "b_w": _weights(1, 1, 3, 3),
        "starts": np.array([1, 1], np.int64),
        "ends": np.array([29, 29], np.int64),
        "axes": np.array([2, 3], np.int64),
    }
    model = _graph(nodes, constants, out_sides=(28, 28))
    assert receptive_field(model, "NCHW") == ReceptiveField((0, 0), (4, 4))


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "InstanceNormalization", "ReduceMean"])
def test_the_layer_through_which_every_pixel_counts_is_named(kind):
    more = {"InstanceNormalization": ["scale", "bias"]}.get(kind, [])
    attributes = {"axes": [2, 3]} if kind == "ReduceMean" else {}
    nodes = [
        make(kind, ["x", *more], ["p"], name="everything", **attributes),
        make("Mul", ["x", "p"], ["y"]),
    ]
    constants = {name: np.ones(1, np.float32) for name in more}
    found = receptive_field(_graph(nodes, constants), "NCHW")
    assert not found.is_bounded
    assert found.unbounded_by == "everything"


def test_behind_an_unknown_operator_every_pixel_counts():
    nodes = [make("CumSum", ["x", "axis"], ["y"], name="sum")]
    found = receptive_field(_graph(nodes, {"axis": np.array(2, np.int64)}), "NCHW")
    assert found.unbounded_by == "sum"


def test_the_most_that_is_alive_at_once():
    """x (1 channel) and a (8) while a is made; a and p (8 at a quarter); p alone and y."""
    nodes = [
        make("Conv", ["x", "w"], ["a"], pads=[1] * 4),
        make("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Relu", ["p"], ["y"]),
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
        make("Relu", ["x"], ["skip"]),
        make("Relu", ["skip"], ["a"]),
        make("Relu", ["a"], ["b"]),
        make("Add", ["b", "skip"], ["y"]),
    ]
    model = model_of(nodes, {"x": (1, 3, 8, 8)}, {"y": (1, 3, 8, 8)})
    ShapeInferencePass()(model)
    assert bytes_per_pixel(model, "NCHW") == 4 * 3 * 3
