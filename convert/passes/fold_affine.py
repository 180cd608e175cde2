"""Fold a factor and an offset per channel, such as a batch normalisation, into the convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .nodes import constant_of, integer_of, set_constant

__all__ = ["FoldAffine"]


class FoldAffine(ir.passes.InPlacePass):  # type: ignore[misc]
    """Fold a Mul or an Add of a constant into the Conv or ConvTranspose before it.

    Runs after SinkTranspose, which brings the pieces together in NCHW.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,2,4,4] x) => (float[1,2,4,4] y)
    ...     <float[2,2,1,1] kernel = {1, 0, 0, 1}, float[2,1,1] scale = {2, 3}> {
    ...         conv = Conv (x, kernel)
    ...         scaled = Mul (conv, scale)
    ...         y = Relu (scaled) }''')
    >>> FoldAffine()(model).modified
    True
    >>> [node.op_type for node in model.graph]
    ['Conv', 'Relu']
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(model.graph):
            if node.op_type in ("Mul", "Add"):
                modified |= _fold(node)
        return ir.passes.PassResult(model, modified=modified)


def _fold(node: ir.Node) -> bool:
    found = _convolution_and_constant(node)
    if found is None or node.outputs[0].is_graph_output():
        return False
    conv, kernel, per_channel = found
    bias = constant_of(conv.inputs[2]) if _has_bias(conv) else np.zeros(1)
    if bias is None:
        return False
    if conv.op_type == "ConvTranspose" and integer_of(conv, "group", 1) != 1:
        return False  # its kernel's second axis has only one group's channels
    out_axis = 0 if conv.op_type == "Conv" else 1
    channels = kernel.shape[out_axis]
    if per_channel.size not in (1, channels):
        return False
    values = np.broadcast_to(per_channel, (channels,)).astype(np.float64)
    new_bias = np.broadcast_to(bias, (channels,)).astype(np.float64)
    if node.op_type == "Mul":
        along = values.reshape([-1 if axis == out_axis else 1 for axis in range(kernel.ndim)])
        set_constant(conv, 1, (kernel * along).astype(kernel.dtype), f"{node.name}/kernel")
        new_bias = new_bias * values
    else:
        new_bias = new_bias + values
    if not _has_bias(conv):
        conv.resize_inputs(3)
    set_constant(conv, 2, new_bias.astype(kernel.dtype), f"{node.name}/bias")
    node.outputs[0].replace_all_uses_with(conv.outputs[0])
    node.graph.remove(node, safe=True)
    return True


def _convolution_and_constant(
    node: ir.Node,
) -> tuple[ir.Node, NDArray[Any], NDArray[Any]] | None:
    """Return the convolution that only `node` reads, its kernel, and the constant, flat."""
    for value, other in (node.inputs, reversed(node.inputs)):
        conv, factor = value.producer(), constant_of(other)
        if conv is None or conv.op_type not in ("Conv", "ConvTranspose") or factor is None:
            continue
        kernel = constant_of(conv.inputs[1])
        alone = len(value.uses()) == 1 and not value.is_graph_output()
        if kernel is not None and alone and _is_per_channel(factor, kernel.ndim):
            return conv, kernel, factor.ravel()
    return None


def _is_per_channel(constant: NDArray[Any], rank: int) -> bool:
    """Return whether the constant broadcasts along no axis of NCHW but the channels."""
    if constant.ndim > rank:
        return False
    full = (1,) * (rank - constant.ndim) + constant.shape
    return constant.size == full[1]


def _has_bias(conv: ir.Node) -> bool:
    """Return whether a convolution has its optional third input."""
    return len(conv.inputs) > 2 and conv.inputs[2] is not None  # noqa: PLR2004
