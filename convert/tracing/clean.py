"""A traced graph, its weights bound, as few nodes as say the same."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from unetrt.errors import UnsupportedModel

from .. import passes
from .trace import Source, trace

__all__ = ["clean_trace"]

_HALF = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16}


def clean_trace(source: Source, opset: int, size: tuple[int, int]) -> ir.Model:
    """Trace `source` at a fixed height and width, the batch free, and clean the graph.

    Raises:
        UnsupportedModel: see `trace`; or something computes in half precision.
    """
    graph = trace(source, opset, size)
    for rewrite in (
        passes.FoldConstants(),
        ShapeInferencePass(),
        passes.KeepReducedAxes(),
        passes.ReshapeToTranspose(),
        passes.SinkTranspose(),
        passes.FoldAffine(),
        passes.FoldConstants(),
        passes.NameByLayer(source.owner),
    ):
        rewrite(graph)
    half = [node for node in graph.graph if any(v.dtype in _HALF for v in node.outputs)]
    if half:
        raise UnsupportedModel(
            f"Cannot convert the model {source.name!r}",
            got=f"{half[0].name}, which computes in half precision",
            expected="float32",
            hint="convert the .keras file instead: precision is chosen when converting",
        )
    return graph
