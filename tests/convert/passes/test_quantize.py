"""Quantise convolutions: the nodes that stand where, and their types."""

import numpy as np
import onnx_ir as ir
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx_ir.passes.common import RemoveUnusedNodesPass

from tests.convert.graphs import operators, rand, run, small_unet
from unetrt.convert.passes.quantize import LARGEST, Quantize, quantized_weights


def test_weights_are_int8_and_one_pair_serves_all_that_read_a_value():
    model = small_unet()
    Quantize({"deep": 4.0, "side": 4.0, "logits": 8.0})(model)
    RemoveUnusedNodesPass()(model)
    counts = {name: operators(model).count(name) for name in set(operators(model))}
    assert counts["QuantizeLinear"] == 2
    assert counts["DequantizeLinear"] == 2 + 3
    deep, side = model.graph.node("deep"), model.graph.node("side")
    assert deep.inputs[0] is side.inputs[0]
    assert deep.inputs[0].producer().inputs[0].producer().inputs[0].name == "p"
    kernel = deep.inputs[1].producer()
    assert kernel.attributes["axis"].as_int() == 0
    assert [value.dtype for value in kernel.inputs] == [
        ir.DataType.INT8,
        ir.DataType.FLOAT,
        ir.DataType.INT8,
    ]
    assert [value.const_value.shape.numpy() for value in kernel.inputs[1:]] == [(8,), (8,)]
    for node in model.graph:
        if node.op_type.endswith("Linear"):
            zero = node.inputs[2].const_value.numpy()
            assert zero.dtype == np.int8
            assert not zero.any()


def test_outputs_stay_near():
    model = small_unet()
    x = {"x": rand(1, 1, 16, 16)}
    before = run(model, x)
    Quantize({"deep": 4.0, "side": 4.0, "logits": 12.0})(model)
    after = run(model, x)
    assert 0 < np.abs(after - before).max() < 0.1


def test_a_transposed_kernel_is_scaled_along_its_second_axis():
    model = small_unet()
    Quantize({"up": 8.0})(model)
    kernel = model.graph.node("up").inputs[1].producer()
    assert kernel.attributes["axis"].as_int() == 1
    assert np.isfinite(run(model, {"x": rand(1, 1, 16, 16)})).all()


@given(
    hnp.arrays(
        np.float32,
        st.tuples(*[st.integers(1, 4)] * 4),
        elements=st.floats(-100, 100, width=16).filter(lambda x: x == 0 or abs(x) > 1e-3),
    ),
    st.sampled_from([0, 1]),
    st.sampled_from([np.float32, np.float16]),
)
def test_int8_weights_are_within_half_a_step_of_the_weights(kernel, axis, dtype):
    kernel = kernel.astype(dtype)
    steps, scale = quantized_weights(kernel, axis)
    assert steps.dtype == np.int8
    assert scale.dtype == dtype
    assert scale.shape == (kernel.shape[axis],)
    assert (scale > 0).all()
    assert np.abs(steps.astype(int)).max() <= LARGEST
    along = scale.astype(np.float64).reshape([-1 if k == axis else 1 for k in range(4)])
    off = np.abs(steps * along - kernel.astype(np.float64))
    assert (off <= along / 2 * (1 + 1e-6)).all()
