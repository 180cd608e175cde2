"""What the Keras model itself says of the golden image."""

from __future__ import annotations

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


def make_golden(source: Source, graph: ir.Model, sizes: SizeRule) -> Golden | None:
    """Ask the model of `source` about a picture of a small size that `graph` takes.

    The deepest level of a network that pads is two pixels wide then: a mean over one says nothing.
    None where a network takes more than images, of more channels than a sidecar should hold, or
    images of several sizes, or where its own answer is not finite.
    """
    shapes = [value.shape for value in graph.graph.inputs]
    ports = source.inputs
    channels = [port.shape[-1] if port.is_image else None for port in ports]
    if not all(isinstance(count, int) and count <= _MOST_CHANNELS for count in channels):
        return None
    small = sizes.at_least(max(2 * sizes.multiple, _LEAST_SIDE) + 2 * sizes.margin)
    wanted = {
        tuple(side if isinstance(side, int) else small for side in shape[1:3]) for shape in shapes
    }
    if len(wanted) != 1:
        return None
    height, width = wanted.pop()
    grids = {port.name: draw_grid(int(port.shape[-1] or 0), k) for k, port in enumerate(ports)}
    golden = Golden(height, width, grids, {})
    vendor.tensorflow_without_tf32()  # a reference must not round
    pictures = [tf.constant(golden.picture(port.name).astype(port.dtype)) for port in ports]
    made = [np.asarray(y) for y in source.answer(*pictures)]
    if not all(np.isfinite(y).all() for y in made):
        return None
    answers = dict(zip(source.output_names, map(Answer.thinned, made), strict=True))
    return Golden(height, width, grids, answers)
