"""Height and width that are free again, where it can be proven that no node holds them."""

from __future__ import annotations

import onnx_ir as ir

from unetrt.errors import UnsupportedModel
from unetrt.sizes import SizeRule

from .. import passes
from .clean import clean_trace
from .size_rule import size_rule
from .trace import Source
from .twins import are_twins

__all__ = ["trace_free"]

_STEP = 128
"""By how much a second trace is larger, at least."""


def trace_free(source: Source, opset: int, size: tuple[int, int]) -> tuple[ir.Model, SizeRule]:
    """Trace `source` near `size`; return the graph and which heights and widths it takes.

    They are free, by the rule that strides and margins make, where the graph is the network's at
    every size: nodes of kinds that hold no size prove it, if all layers are Keras' own; else a
    second trace at another size that gives the very same graph does. Elsewhere the graph keeps the
    size it was traced at, whatever its strides.

    Raises:
        UnsupportedModel: see `clean_trace`.
    """
    graph = clean_trace(source, opset, size)
    images = [port for port in source.inputs if port.is_image]
    if not images:
        return graph, SizeRule()
    rule = size_rule(graph)
    fixed = SizeRule(margin=rule.margin)
    open_sides = all(side is None for port in images for side in port.shape[1:3])
    if open_sides and not all(map(rule.fits, size)):
        # What 'same' pads depends on the remainder: none, at the sizes that will be run.
        height, width = map(rule.at_least, size)
        fitting = clean_trace(source, opset, (height, width))
        if _is_free(source, fitting, opset, (height, width), rule):
            passes.FreeAxes()(fitting)
            return fitting, rule
        return graph, fixed
    if all(map(rule.fits, _sides(graph))) and _is_free(source, graph, opset, size, rule):
        passes.FreeAxes()(graph)
        return graph, rule
    return graph, fixed


def _is_free(
    source: Source, graph: ir.Model, opset: int, size: tuple[int, int], rule: SizeRule
) -> bool:
    only_images = all(len(v.shape) == 4 for v in graph.graph.outputs if v.shape is not None)  # noqa: PLR2004
    if source.is_plain and only_images and passes.holds_no_size(graph):
        return True
    if any(side is not None for port in source.inputs if port.is_image for side in port.shape[1:3]):
        return False  # it can be traced at no other
    step = -(-_STEP // rule.multiple) * rule.multiple
    try:
        other = clean_trace(source, opset, (size[0] + step, size[1] + 2 * step))
    except UnsupportedModel:
        return False  # some layer takes only the first size
    return are_twins(graph, other) and _other_outputs(graph) == _other_outputs(other)


def _sides(graph: ir.Model) -> list[int]:
    return [side for v in graph.graph.inputs if len(v.shape) == 4 for side in v.shape[1:3]]  # noqa: PLR2004


def _other_outputs(graph: ir.Model) -> list[list[int | str]]:
    """Return the shapes, without the batch, of outputs that are not images: they name no side."""
    return [list(v.shape[1:]) for v in graph.graph.outputs if len(v.shape) != 4]  # noqa: PLR2004
