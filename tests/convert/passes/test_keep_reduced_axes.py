"""Keep the axes of a mean that a reshape would put back."""

import numpy as np
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from tests.convert.graphs import make, model_of, operators, rand, run
from unetrt.convert.passes.free_axes import holds_no_size
from unetrt.convert.passes.keep_reduced_axes import KeepReducedAxes
from unetrt.convert.passes.reshape_to_transpose import ReshapeToTranspose
from unetrt.convert.passes.sink_transpose import SinkTranspose
from unetrt.tensors import TO_NCHW, TO_NHWC


@pytest.mark.parametrize("opset", [17, 18])
def test_a_squeeze_and_excitation_block_has_no_transposition_left(opset):
    axes = {"axes": [1, 2]} if opset == 17 else {}
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="conv"),
        make("Transpose", ["c"], ["t"], name="t", perm=TO_NHWC),
        make("ReduceMean", ["t"] if axes else ["t", "axes"], ["m"], name="m", keepdims=0, **axes),
        make("Reshape", ["m", "to"], ["s"], name="s"),
        make("Conv", ["s", "w"], ["e"], name="e"),
        make("Sigmoid", ["e"], ["g"], name="g"),
        make("Reshape", ["g", "back"], ["b"], name="b"),
        make("Mul", ["t", "b"], ["p"], name="p"),
        make("Transpose", ["p"], ["u"], name="u", perm=TO_NCHW),
        make("Relu", ["u"], ["y"], name="r"),
    ]
    constants = {"w": rand(3, 3, 1, 1), "to": np.array([-1, 3, 1, 1])}
    constants |= {"back": np.array([-1, 1, 1, 3])}
    constants |= {} if axes else {"axes": np.array([1, 2])}
    shape = ["n", 3, 8, 6]
    model = model_of(nodes, {"x": shape}, {"y": shape}, constants, opset=opset)
    x = {"x": rand(2, 3, 8, 6)}
    before = run(model, x)
    ShapeInferencePass()(model)
    for rewrite in (KeepReducedAxes(), ReshapeToTranspose(), SinkTranspose()):
        rewrite(model)
    assert operators(model) == ["Conv", "ReduceMean", "Conv", "Sigmoid", "Mul", "Relu"]
    np.testing.assert_allclose(run(model, x), before, atol=1e-6)
    assert holds_no_size(model)
