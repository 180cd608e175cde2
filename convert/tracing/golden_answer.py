"""What the Keras model itself says of the golden image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from unetrt import vendor
from unetrt.golden import Answer, Golden, draw_grid
from unetrt.sizes import SizeRule

from .trace import Source

__all__ = ["make_golden"]

_MOST_CHANNELS = 16
_LEAST_SIDE = 16


def make_golden(
    source: Source, graph: ir.Model, sizes: SizeRule, *, whole_numbers: bool
) -> Golden | None:
    """Ask the model of `source` about a picture of a small size that it and `graph` take.

    The deepest level of a network that pads is two pixels wide then: a mean over one says nothing.
    Pixels go from 0 to 255 where the model normalises them or the graph takes `whole_numbers`, else
    to 1: numbers a network was not made for are rounded more coarsely than its precision tells.
    None where a network takes more than images, of more channels than a sidecar should hold, or
    images of several sizes, or where its own answer is not finite.
    """
    ports = source.inputs
    shapes = [value.shape for value in graph.graph.inputs]
    channels = [port.shape[-1] if port.is_image else None for port in ports]
    if not all(isinstance(count, int) and count <= _MOST_CHANNELS for count in channels):
        return None
    small = sizes.at_least(max(2 * sizes.multiple, _LEAST_SIDE) + 2 * sizes.margin)
    wanted = {
        tuple(
            side if isinstance(side, int) else own or small
            for side, own in zip(shape[1:3], port.shape[1:3], strict=True)
        )
        for shape, port in zip(shapes, ports, strict=True)
    }
    if len(wanted) != 1:
        return None
    height, width = wanted.pop()
    whole = whole_numbers or source.normalization or "int" in ports[0].dtype
    grids = {port.name: draw_grid(int(port.shape[-1] or 0), k) for k, port in enumerate(ports)}
    golden = Golden(height, width, 1.0 if whole else 1 / 256, grids, {})
    vendor.tensorflow_without_tf32()  # a reference must not round
    pictures = [tf.constant(golden.feed(port.name, port.dtype)) for port in ports]
    try:
        made = [np.asarray(y) for y in source.answer(*pictures)]
    except Exception:  # noqa: BLE001  (a model that can be traced alone still has its ONNX file)
        return None
    if not all(np.isfinite(y).all() for y in made):
        return None
    answers = dict(zip(source.output_names, map(Answer.thinned, made), strict=True))
    return replace(golden, answers=answers)
