"""Which convolutions int8 pays for and does not harm."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from ..passes.nodes import constant_of
from ..passes.to_half import COMPUTES

__all__ = ["quantizable"]


def quantizable(graph: ir.Graph, keep: Collection[str] = ()) -> dict[str, str]:
    """Return the convolutions to quantise by name, each with the name of the value it reads.

    Not quantised are transposed convolutions, whose int8 TensorRT does not fuse (TensorRT issue
    2597); the first convolutions, which read the pixels; those named in `keep`; and those whose
    kernel is no constant. On the demo's brain network, quantising the first convolution too took
    the largest change of a Dice from 0.0009 to 0.0017; the last one made no difference.
    """
    nodes = list(graph)
    after: set[ir.Value] = set()
    follows: set[ir.Node] = set()
    for node in nodes:
        readers = ir.traversal.RecursiveGraphIterator([node])
        if any(not after.isdisjoint(reader.inputs) for reader in readers):
            follows.add(node)
        if node in follows or node.op_type in COMPUTES:
            after.update(node.outputs)
    return {
        node.name: node.inputs[0].name
        for node in nodes
        if node.op_type == "Conv"
        and node.name not in keep
        and node in follows
        and node.inputs[0].dtype == ir.DataType.FLOAT
        and constant_of(node.inputs[1]) is not None
    }
