"""Give the answer itself: each pixel's class as one byte."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from unetrt.errors import UnsupportedModel

from .nodes import add_node, perm_of, unused_name

__all__ = ["LabelOutput"]

_TO_NHWC = (0, 2, 3, 1)
_MOST = 256


class LabelOutput(ir.passes.InPlacePass):  # type: ignore[misc]
    """Add a uint8 label map [batch, height, width] for each image of class probabilities.

    With `only`, it replaces the probabilities, and the softmax goes: the largest score is the
    largest probability. One channel must be a sigmoid's: it is 1 where what the sigmoid reads is
    positive.
    """

    def __init__(self, *, only: bool) -> None:
        super().__init__()
        self._only = only

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        maps = [v for v in graph.outputs if v.dtype == ir.DataType.FLOAT and len(v.shape) == 4]  # noqa: PLR2004
        if not maps:
            raise UnsupportedModel(
                f"Cannot make a label map of the model {graph.name!r}",
                got=", ".join(f"{v.name}{list(v.shape)}" for v in graph.outputs),
                expected="an output [batch, height, width, classes]",
                hint="convert it with --answer probabilities",
            )
        for value in maps:
            wanted = "labels" if len(maps) == 1 else f"{value.name}_labels"
            labels = _labels(value, unused_name(graph, wanted))
            if self._only:
                graph.outputs[list(graph.outputs).index(value)] = labels
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
    if channels == 1:
        zero = ir.tensor(np.float32(0))
        above = add_node(_logits(value), "Greater", constants=[zero], dtype=ir.DataType.BOOL)
        number = add_node(above, "Cast", to=ir.DataType.UINT8)
        axes = ir.tensor(np.array([_single_axis(value)], np.int64))
        labels = add_node(number, "Squeeze", constants=[axes], dtype=ir.DataType.UINT8)
    else:
        scores, axis = _scores(value)
        best = add_node(scores, "ArgMax", axis=axis, keepdims=0, dtype=ir.DataType.INT64)
        labels = add_node(best, "Cast", to=ir.DataType.UINT8)
    labels.name = name
    labels.shape = ir.Shape(list(value.shape)[:3])
    return labels


def _logits(value: ir.Value) -> ir.Value:
    """Return what the sigmoid reads that makes `value`, in whatever layout it is."""
    last = value.producer()
    while last is not None and last.op_type == "Transpose":
        last = last.inputs[0].producer()
    if last is None or last.op_type != "Sigmoid":
        raise UnsupportedModel(
            f"Cannot make a label map of the output {value.name!r}",
            got="one channel that no sigmoid makes",
            expected="probabilities: a sigmoid's channel, or one for each class",
            hint="end the model in a sigmoid, or convert it with --answer probabilities",
        )
    return last.inputs[0]


def _single_axis(value: ir.Value) -> int:
    """Return the axis of the one channel where the sigmoid is: NCHW behind a Transpose."""
    last = value.producer()
    return 1 if last is not None and last.op_type == "Transpose" else 3


def _scores(value: ir.Value) -> tuple[ir.Value, int]:
    """Return what grows with the probabilities, as early as it can be had, and its class axis."""
    last = value.producer()
    if last is not None and last.op_type == "Softmax" and _axis(last) == 3:  # noqa: PLR2004
        value, last = last.inputs[0], last.inputs[0].producer()
    if last is not None and last.op_type == "Transpose" and perm_of(last) == _TO_NHWC:
        value, last = last.inputs[0], last.inputs[0].producer()
        if last is not None and last.op_type == "Softmax" and _axis(last) == 1:
            value = last.inputs[0]
        return value, 1
    return value, 3


def _axis(softmax: ir.Node) -> int:
    axis = softmax.attributes.get("axis")
    return (axis.as_int() if axis is not None else -1) % 4
