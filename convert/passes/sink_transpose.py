"""Move transpositions down through elementwise nodes until they meet and cancel."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import IdentityEliminationPass
from onnxscript.optimizer import remove_unused_nodes
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules.common import no_op_transpose_rule, transpose_transpose_rule

from .nodes import (
    REDUCTIONS,
    axes_of,
    constant_of,
    integer_of,
    perm_of,
    set_constant,
    transposed,
)

__all__ = ["SinkTranspose"]

_UNARY = {
    "Abs", "Cast", "Clip", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LeakyRelu", "Neg",
    "Reciprocal", "Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Tanh",
}  # fmt: skip
_BROADCAST = {"Add", "Div", "Max", "Min", "Mul", "Pow", "Sub"}
_ALONG_AXIS = {"LogSoftmax", "Softmax"}


class SinkTranspose(ir.passes.InPlacePass):  # type: ignore[misc]
    """Turn Transpose -> elementwise into elementwise -> Transpose; inverse neighbours vanish.

    While it traces, tf2onnx cannot see that a batch normalisation's factors are constants, so it
    leaves them between an NHWC pair of Transposes that cost two passes over memory each.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,2,4,6] x) => (float[1,2,4,6] y) <float[2] scale = {2, 3}> {
    ...         nhwc = Transpose <perm = [0, 2, 3, 1]> (x)
    ...         scaled = Mul (nhwc, scale)
    ...         nchw = Transpose <perm = [0, 3, 1, 2]> (scaled)
    ...         y = Relu (nchw) }''')
    >>> SinkTranspose()(model).modified
    True
    >>> [node.op_type for node in model.graph]
    ['Mul', 'Relu']
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in model.graph:  # in topological order, and what is inserted comes later in it
            modified |= _sink_through(node)
        modified |= any(map(_follows_transpose, model.graph))
        if modified:
            rewrite(model, [transpose_transpose_rule, no_op_transpose_rule])
            IdentityEliminationPass()(model)  # what a rewrite leaves where a graph ends
            remove_unused_nodes(model)
        return ir.passes.PassResult(model, modified=modified)


def _follows_transpose(node: ir.Node) -> bool:
    producer = node.inputs[0].producer() if node.op_type == "Transpose" else None
    return producer is not None and producer.op_type == "Transpose"


def _sink_through(node: ir.Node) -> bool:
    indices = _data_inputs(node)
    if indices is None or node.outputs[0].is_graph_output():
        return False
    transposes = {}
    for index in indices:
        value = node.inputs[index]
        producer = value.producer() if value is not None else None
        if producer is not None and producer.op_type == "Transpose":
            transposes[index] = producer
        elif node.op_type == "Concat" or constant_of(value) is None:
            return False
    perms = {perm_of(transpose) for transpose in transposes.values()}
    if len(perms) != 1:
        return False
    perm = perms.pop()
    if not _permute(node, perm):
        return False
    for index, transpose in transposes.items():
        node.replace_input_with(index, transpose.inputs[0])
    out = node.outputs[0]
    out.shape = None
    uses = list(out.uses())
    sunk = transposed(out, perm)
    sunk.name = f"{node.name}/transpose"
    sunk.outputs[0].name, sunk.outputs[0].type = f"{out.name}/transpose", out.type
    node.graph.insert_after(node, sunk)
    for user, position in uses:
        user.replace_input_with(position, sunk.outputs[0])
    return True


def _data_inputs(node: ir.Node) -> list[int] | None:
    """Return the inputs that share the output's axes, by number; None for an unknown operator."""
    if node.op_type in _BROADCAST or node.op_type == "Concat":
        return list(range(len(node.inputs)))
    if node.op_type in _UNARY | REDUCTIONS | _ALONG_AXIS or node.op_type == "Pad":
        return [0]
    return None


def _permute(node: ir.Node, perm: tuple[int, ...]) -> bool:
    """Change attributes and constants of a node that will read the input of a Transpose by `perm`.

    Return False, with nothing changed, where it cannot be done, or gains nothing.
    """
    if node.op_type in _BROADCAST:
        return _permute_constants(node, perm)
    if node.op_type in _ALONG_AXIS:
        return _permute_softmax(node, perm)
    if node.op_type in REDUCTIONS:
        return _permute_axes(node, perm)
    if node.op_type == "Pad":
        return _permute_pads(node, perm)
    if node.op_type == "Concat":
        _set_axis(node, perm)
    return True


def _permute_constants(node: ir.Node, perm: tuple[int, ...]) -> bool:
    constants = {
        k: array for k, v in enumerate(node.inputs) if (array := constant_of(v)) is not None
    }
    if any(array.ndim > len(perm) for array in constants.values()):
        return False
    for index, array in constants.items():
        if array.ndim:
            moved = _in_axes_before(perm, array)
            set_constant(node, index, moved, f"{node.name}/{node.op_type.lower()}_constant")
    return True


def _permute_softmax(node: ir.Node, perm: tuple[int, ...]) -> bool:
    if not all(user.op_type == "Transpose" for user, _ in node.outputs[0].uses()):
        return False  # nothing would cancel, and the last axis is the fastest to sum over
    _set_axis(node, perm)
    return True


def _permute_axes(node: ir.Node, perm: tuple[int, ...]) -> bool:
    axes = axes_of(node)
    if axes is None or not integer_of(node, "keepdims", 1):
        return False
    moved = sorted(perm[axis] for axis in axes)
    if "axes" in node.attributes:
        node.attributes["axes"] = ir.AttrInt64s("axes", moved)
    else:
        set_constant(node, 1, np.array(moved, np.int64), f"{node.name}/axes")
    return True


def _permute_pads(node: ir.Node, perm: tuple[int, ...]) -> bool:
    pads = constant_of(node.inputs[1])
    if pads is None or pads.size != 2 * len(perm):
        return False
    ends = pads.reshape(2, len(perm))
    moved = np.empty_like(ends)
    moved[:, list(perm)] = ends
    set_constant(node, 1, moved.ravel(), f"{node.name}/pads")
    return True


def _set_axis(node: ir.Node, perm: tuple[int, ...]) -> None:
    node.attributes["axis"] = ir.AttrInt64("axis", perm[integer_of(node, "axis", -1)])


def _in_axes_before(perm: tuple[int, ...], constant: NDArray[Any]) -> NDArray[Any]:
    """Return the constant in the axes in which it broadcasts against the Transpose's input."""
    full = constant.reshape((1,) * (len(perm) - constant.ndim) + constant.shape)
    return np.ascontiguousarray(full.transpose(np.argsort(perm)))
