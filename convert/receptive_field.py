"""The receptive field of a graph, read off its nodes."""

from __future__ import annotations

import math
from dataclasses import replace

import onnx_ir as ir

from unetrt.sizes import ReceptiveField

from .sight.reach import Seen
from .sight.steps import ELEMENTWISE, REDUCING, STEPS, reduced

__all__ = ["receptive_field", "seen_by_value"]

_IMAGE_RANK = 4


def receptive_field(graph: ir.Model, layout: str) -> ReceptiveField:
    """Return how far each map that the graph gives sees, at most; `layout` as OnnxModel has it.

    Unbounded too where a node is of a kind whose sight is not known here.
    """
    seen = seen_by_value(graph.graph, layout)
    maps = [seen[value] for value in graph.graph.outputs if value in seen]
    maps = [found for found in maps if found.axes is not None] or maps
    bounding = next((found.unbounded_by for found in maps if found.unbounded_by), "")
    if not maps or bounding:
        return ReceptiveField(unbounded_by=bounding or "its answer is not a map of its image")
    before, after = (
        tuple(
            max(0, *(math.ceil(getattr(getattr(found, axis), end)) for found in maps))
            for axis in ("rows", "columns")
        )
        for end in ("before", "after")
    )
    met = [(found.rows.stride, found.columns.stride) for found in seen.values() if found.axes]
    stride = (
        math.lcm(*(math.ceil(rows) for rows, _ in met)),
        math.lcm(*(math.ceil(c) for _, c in met)),
    )
    return ReceptiveField((before[0], before[1]), (after[0], after[1]), stride)


def seen_by_value(graph: ir.Graph, layout: str) -> dict[ir.Value, Seen]:
    """Return what each value that depends on an image knows of it."""
    axes = (2, 3) if layout == "NCHW" else (1, 2)
    images = (v for v in graph.inputs if v.shape is not None and len(v.shape) == _IMAGE_RANK)
    seen = {value: Seen(axes) for value in images}
    for node in graph:
        given = [seen[value] for value in node.inputs if value in seen]
        if given:
            seen.update(dict.fromkeys(node.outputs, _through(node, given)))
    return seen


def _through(node: ir.Node, given: list[Seen]) -> Seen:
    """Return what leaves a node, of what enters it."""
    kind = node.op_type
    there = [one for one in given if one.axes is not None]
    if not there:
        return given[0].of_all(node, axes=None)
    first = there[0]
    alike = all(
        (one.axes, one.rows.stride, one.columns.stride)
        == (first.axes, first.rows.stride, first.columns.stride)
        for one in there
    )
    if not alike:
        return first.of_all(node, axes=None)
    for one in given:
        joined = first.mapped(one.rows.joined, one.columns.joined) if one.axes else one
        first = replace(
            first,
            rows=first.rows.joined(joined.rows),
            columns=first.columns.joined(joined.columns),
            unbounded_by=first.unbounded_by or one.unbounded_by,
        )
    if kind in ELEMENTWISE:
        return first
    step = STEPS.get(kind) or (reduced if kind.startswith(REDUCING) else None)
    found = step(node, first) if step else None
    return first.of_all(node, axes=None) if found is None else found
