"""Sink transpositions until they meet and vanish."""

import numpy as np
import pytest

from tests.convert.graphs import make, model_of, operators, rand, run
from unetrt.convert.passes.fold_affine import FoldAffine
from unetrt.convert.passes.sink_transpose import SinkTranspose
from unetrt.tensors import TO_NCHW, TO_NHWC


def batch_norm_in_nhwc(constant_shape=(3,)):
    """Conv -> Transpose -> Mul -> Add -> Relu -> Transpose, as tf2onnx leaves a batch norm."""
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="conv/convolution"),
        make("Transpose", ["c"], ["t"], name="conv/t1", perm=[0, 2, 3, 1]),
        make("Mul", ["t", "scale"], ["m"], name="norm/mul"),
        make("Add", ["m", "offset"], ["a"], name="norm/add"),
        make("Relu", ["a"], ["r"], name="relu/Relu"),
        make("Transpose", ["r"], ["y"], name="pool/t2", perm=[0, 3, 1, 2]),
    ]
    constants = {"w": rand(3, 2, 1, 1), "scale": rand(*constant_shape), "offset": rand(3)}
    shapes = {"x": ["n", 2, 8, 8]}, {"y": ["n", 3, 8, 8]}
    return model_of(nodes, *shapes, constants)


@pytest.mark.parametrize("constant_shape", [(3,), (1,), (), (1, 1, 1, 3)])
def test_sink_transpose_then_fold_affine_leave_one_convolution(constant_shape):
    model, x = batch_norm_in_nhwc(constant_shape), {"x": rand(2, 2, 8, 8)}
    before = run(model, x)
    SinkTranspose()(model)
    assert operators(model) == ["Conv", "Mul", "Add", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)
    FoldAffine()(model)
    assert operators(model) == ["Conv", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_sink_transpose_gives_each_node_a_constant_of_its_own():
    nodes = [
        make("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        make("Mul", ["t", "s"], ["m"]),
        make("Mul", ["m", "s"], ["n"]),
        make("Transpose", ["n"], ["u"], perm=[0, 3, 1, 2]),
        make("Relu", ["u"], ["y"]),
    ]
    model = model_of(nodes, {"x": [1, 3, 4, 5]}, {"y": [1, 3, 4, 5]}, {"s": rand(3)})
    x = {"x": rand(1, 3, 4, 5)}
    before = run(model, x)
    SinkTranspose()(model)
    assert operators(model) == ["Mul", "Mul", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def in_nhwc(*middle, constants=None):
    """Return a graph in NCHW whose `middle`, from a and b to c, works in NHWC."""
    nodes = [
        make("Transpose", ["x"], ["a"], perm=TO_NHWC),
        make("Transpose", ["z"], ["b"], perm=TO_NHWC),
        *middle,
        make("Transpose", ["c"], ["t"], perm=TO_NCHW),
        make("Relu", ["t"], ["y"]),
    ]
    given = {"x": [1, 3, 4, 5], "z": [1, 3, 4, 5]}
    return model_of(nodes, given, {"y": [1, "c", "h", "w"]}, constants)


@pytest.mark.parametrize(
    ("middle", "constants"),
    [
        ([make("Concat", ["a", "b"], ["c"], axis=3)], {}),
        ([make("Add", ["a", "b"], ["c"])], {}),
        (
            [
                make("Mul", ["a", "b"], ["m"]),
                make("Pad", ["m", "pads"], ["c"]),
            ],
            {"pads": np.array([0, 1, 2, 0, 0, 0, 3, 0])},
        ),
        (
            [
                make("ReduceMean", ["a"], ["m"], axes=[1, 2]),
                make("Mul", ["m", "b"], ["c"]),
            ],
            {},
        ),
        (
            [
                make("Sub", ["a", "b"], ["m"]),
                make("Softmax", ["m"], ["c"], axis=-1),
            ],
            {},
        ),
    ],
)
def test_transposes_around_nodes_of_several_inputs_vanish(middle, constants):
    model = in_nhwc(*middle, constants=constants)
    x = {"x": rand(1, 3, 4, 5), "z": rand(1, 3, 4, 5)}
    before = run(model, x)
    SinkTranspose()(model)
    assert operators(model) == [*(node.op_type for node in middle), "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)


def test_a_sum_that_drops_its_axes_stays_as_it_is():
    middle = [
        make("ReduceMean", ["a"], ["m"], axes=[1, 2], keepdims=0),
        make("Add", ["m", "b"], ["c"]),
    ]
    model = in_nhwc(*middle)
    x = {"x": rand(1, 3, 4, 5), "z": rand(1, 3, 4, 5)}
    before = run(model, x)
    SinkTranspose()(model)
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)
