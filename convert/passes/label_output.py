"""Put out labels: each pixel's class as one byte."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from unetrt.errors import UnsupportedModel
from unetrt.tensors import TO_NHWC

from .nodes import (
    integer_of,
    is_image,
    new_node,
    perm_of,
    replace_output,
    set_constant,
    unused_name,
)

__all__ = ["LabelOutput"]

_MOST = 256


class LabelOutput(ir.passes.InPlacePass):  # type: ignore[misc]
    """Add a uint8 label map [batch, height, width] for each image of class probabilities.

    One channel must be a sigmoid's: its label is 1 where the sigmoid's input is positive.

    Args:
        only: let the labels replace the probabilities; the softmax goes too, since the largest
            score is the largest probability.

    Raises:
        UnsupportedModel: no output is an image of probabilities, or it has more than 256 classes;
            raised by the call.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,4,4,3] x) => (float[1,4,4,3] y) { y = Softmax (x) }''')
    >>> LabelOutput(only=True)(model).modified
    True
    >>> [node.op_type for node in model.graph], model.graph.outputs[0].shape
    (['ArgMax', 'Cast'], Shape([1, 4, 4]))
    """

    def __init__(self, *, only: bool) -> None:
        super().__init__()
        self._only = only

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        maps = [v for v in graph.outputs if v.dtype == ir.DataType.FLOAT and is_image(v)]
        if not maps:
            raise UnsupportedModel(
                f"Cannot make a label map of the model {graph.name!r}",
                got=", ".join(f"{v.name}{list(v.shape)}" for v in graph.outputs),
                expected="an output [batch, height, width, classes]",
                hint="convert it with `outputs='probabilities'`",
            )
        for value in maps:
            wanted = "labels" if len(maps) == 1 else f"{value.name}_labels"
            labels = _labels(value, unused_name(graph, wanted))
            if self._only:
                replace_output(graph, value, labels)
            else:
                graph.outputs.append(labels)
        RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified=True)


def _labels(value: ir.Value, name: str) -> ir.Value:
    channels = value.shape[3]
    if not isinstance(channels, int) or channels > _MOST:
        raise UnsupportedModel(
            f"Cannot make a uint8 label map of the output {value.name!r}",
            got=f"{channels} classes",
            expected=f"at most {_MOST}",
        )
    byte = ir.DataType.UINT8
    if channels == 1:
        zero = np.zeros((), np.float32)
        above = _append(_logits(value), "Greater", ir.DataType.BOOL, constants=[zero])
        number = _append(above, "Cast", byte, to=int(byte))
        axes = np.array([_single_axis(value)], np.int64)
        labels = _append(number, "Squeeze", byte, constants=[axes])
    else:
        scores, axis = _scores(value)
        best = _append(scores, "ArgMax", ir.DataType.INT64, axis=axis, keepdims=0)
        labels = _append(best, "Cast", byte, to=int(byte))
    labels.name = name
    labels.shape = ir.Shape(list(value.shape)[:3])
    return labels


def _logits(value: ir.Value) -> ir.Value:
    """Return the input of the sigmoid that makes `value`, in whatever layout it is."""
    last = value.producer()
    while last is not None and last.op_type == "Transpose":
        last = last.inputs[0].producer()
    if last is None or last.op_type != "Sigmoid":
        raise UnsupportedModel(
            f"Cannot make a label map of the output {value.name!r}",
            got="one channel that no sigmoid makes",
            expected="probabilities: a sigmoid's channel, or one for each class",
            hint="end the model in a sigmoid, or convert it with `outputs='probabilities'`",
        )
    return last.inputs[0]


def _single_axis(value: ir.Value) -> int:
    """Return the axis of the one channel at the sigmoid: NCHW behind a Transpose."""
    last = value.producer()
    return 1 if last is not None and last.op_type == "Transpose" else 3


def _scores(value: ir.Value) -> tuple[ir.Value, int]:
    """Return the earliest value that grows with the probabilities, and its class axis."""
    last = value.producer()
    if _is_softmax(last, 3):
        value, last = last.inputs[0], last.inputs[0].producer()
    if last is not None and last.op_type == "Transpose" and perm_of(last) == TO_NHWC:
        value, last = last.inputs[0], last.inputs[0].producer()
        return (last.inputs[0] if _is_softmax(last, 1) else value), 1
    return value, 3


def _is_softmax(node: ir.Node | None, axis: int) -> bool:
    softmax = node is not None and node.op_type == "Softmax"
    return softmax and integer_of(node, "axis", -1) % 4 == axis


def _append(
    value: ir.Value,
    operator: str,
    dtype: ir.DataType,
    *,
    constants: Sequence[np.ndarray] = (),
    **attributes: int,
) -> ir.Value:
    """Append a node that reads `value` and constants, and return its output."""
    graph = value.graph
    name = unused_name(graph, f"{value.name}/{operator.lower()}")
    node = new_node(operator, [value], attributes, name=name, dtype=dtype)
    graph.append(node)
    node.resize_inputs(1 + len(constants))
    for index, array in enumerate(constants, start=1):
        set_constant(node, index, array, f"{name}_constant")
    return node.outputs[0]
