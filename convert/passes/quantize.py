"""Give convolutions int8 weights and activations, spelled with QuantizeLinear/DequantizeLinear.

Not `onnxruntime.quantization.quantize_static`, though what it writes builds: it keeps the
activations of all calibration images in memory (on the demo's network the process grew from
0.6 GB with four images of 256 x 224 to 1.0 GB with sixteen; this way it stayed at 0.6 GB with
thirty-two), and its scales are float32, so that the rest of the network cannot be float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .nodes import constant, new_node

__all__ = ["LARGEST", "Quantize", "quantized_weights"]

LARGEST = 127
"""Of int8 when it is symmetric, as TensorRT wants it: -128 is not used."""


class Quantize(ir.passes.InPlacePass):  # type: ignore[misc]
    """Quantise the convolutions named: weights per output channel, inputs per tensor.

    All is symmetric, with zero points of 0. A convolution's kernel becomes int8 with a
    DequantizeLinear behind it; its input gets a pair of QuantizeLinear and DequantizeLinear,
    which several convolutions of one input share. Biases and outputs stay as they are, so that
    the builder can fuse what follows. Scales have the type of what they scale: float16 ones need
    opset 19.

    Args:
        largest: by the node's name, the largest magnitude that its input is to represent.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,2,4,4] x) => (float[1,2,4,4] y)
    ...     <float[2,2,1,1] kernel = {1, 0, 0, 1}> { y = Conv (x, kernel) }''')
    >>> model.graph.node(0).name = "conv1"
    >>> Quantize({"conv1": 4.0})(model).modified
    True
    >>> [node.op_type for node in model.graph]
    ['QuantizeLinear', 'DequantizeLinear', 'DequantizeLinear', 'Conv']
    """

    def __init__(self, largest: Mapping[str, float]) -> None:
        super().__init__()
        self._largest = largest
        self._pairs: dict[ir.Value, ir.Value] = {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        nodes = [node for node in model.graph if node.name in self._largest]
        for node in nodes:
            value = node.inputs[0]
            if value not in self._pairs:
                self._pairs[value] = _pair(node, value, self._largest[node.name])
            node.replace_input_with(0, self._pairs[value])
            node.replace_input_with(1, _dequantized_kernel(node))
        return ir.passes.PassResult(model, modified=bool(nodes))


def quantized_weights(
    kernel: NDArray[Any], axis: int
) -> tuple[NDArray[np.int8], NDArray[np.floating[Any]]]:
    """Return the kernel as int8 and a scale for each channel along `axis`, in the kernel's type.

    >>> import numpy as np
    >>> steps, scale = quantized_weights(np.array([[127.0, -64.0], [0.5, 1.0]]), axis=0)
    >>> steps.tolist(), scale.tolist()
    ([[127, -64], [64, 127]], [1.0, 0.007874015748031496])
    """
    others = tuple(k for k in range(kernel.ndim) if k != axis)
    scale = _scale(np.abs(kernel.astype(np.float64)).max(axis=others), kernel.dtype)
    along = scale.astype(np.float64).reshape([-1 if k == axis else 1 for k in range(kernel.ndim)])
    steps = np.clip(np.rint(kernel.astype(np.float64) / along), -LARGEST, LARGEST)
    return steps.astype(np.int8), scale


def _scale(largest: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[np.floating[Any]]:
    """Return the step that takes `largest` to 127, or to just under it; 1 where all is zero."""
    exact = largest / LARGEST
    scale = exact.astype(dtype)
    short = scale.astype(np.float64) * LARGEST < largest
    scale[short] = np.nextafter(scale[short], np.array(np.inf, dtype))
    scale[largest == 0] = 1
    return scale


def _pair(node: ir.Node, value: ir.Value, largest: float) -> ir.Value:
    scale = _scale(np.array([largest]), value.dtype.numpy())[0]
    scale_and_zero = [
        constant(node.graph, f"{value.name}/scale", np.array(scale)),
        constant(node.graph, f"{value.name}/zero", np.array(0, np.int8)),
    ]
    steps = _before(node, "QuantizeLinear", [value, *scale_and_zero], ir.DataType.INT8, value)
    return _before(node, "DequantizeLinear", [steps, *scale_and_zero], value.dtype, value)


def _dequantized_kernel(node: ir.Node) -> ir.Value:
    kernel = node.inputs[1]
    axis = 0 if node.op_type == "Conv" else 1
    steps, scale = quantized_weights(kernel.const_value.numpy(), axis)
    inputs = [
        constant(node.graph, f"{kernel.name}/int8", steps),
        constant(node.graph, f"{kernel.name}/scale", scale),
        constant(node.graph, f"{kernel.name}/zero", np.zeros(scale.shape, np.int8)),
    ]
    return _before(node, "DequantizeLinear", inputs, kernel.dtype, kernel, axis=axis)


def _before(
    node: ir.Node,
    operator: str,
    inputs: list[ir.Value],
    dtype: ir.DataType,
    like: ir.Value,
    **attributes: int,
) -> ir.Value:
    name = f"{like.name}/{operator}"
    new = new_node(operator, inputs, attributes, name=name, dtype=dtype, shape=like.shape)
    node.graph.insert_before(node, new)
    return new.outputs[0]
