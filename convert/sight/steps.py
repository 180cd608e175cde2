"""What leaves each kind of node, of what enters it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import onnx_ir as ir

from ..passes.nodes import constant_of, perm_of
from .attributes import kernel_of, number_of, pads_of, pair_of, reduced_axes, text_of
from .reach import Reach, Seen

__all__ = ["ELEMENTWISE", "REDUCING", "STEPS", "reduced"]

ELEMENTWISE = frozenset(
    {
        "Abs", "Add", "And", "BatchNormalization", "Cast", "CastLike", "Ceil", "Celu", "Clip",
        "DequantizeLinear", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu",
        "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu",
        "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not",
        "Or", "PRelu", "Pow", "QuantizeLinear", "Reciprocal", "Relu", "Round", "Selu",
        "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tanh",
        "ThresholdedRelu", "Where", "Xor",
    }
)  # fmt: skip
_ALONG_AN_AXIS = frozenset({"Concat", "Hardmax", "LogSoftmax", "Softmax", "Split"})
REDUCING = ("Reduce", "Arg")
"""How the names of reductions begin."""


def _convolved(node: ir.Node, seen: Seen) -> Seen | None:
    if seen.axes != (2, 3):
        return None
    kernels = kernel_of(node)
    if kernels is None:
        return None
    strides, dilations = pair_of(node, "strides", 1), pair_of(node, "dilations", 1)
    pads = pads_of(node, kernels, strides, dilations)
    if node.op_type == "ConvTranspose":
        rows, columns = (
            _transposed(kernels[axis], strides[axis], dilations[axis], pads[axis][0])
            for axis in (0, 1)
        )
        return seen.mapped(rows, columns)
    return seen.mapped(
        lambda own: own.through_window(kernels[0], strides[0], dilations[0], pads[0]),
        lambda own: own.through_window(kernels[1], strides[1], dilations[1], pads[1]),
    )


def _transposed(kernel: int, stride: int, dilation: int, pad: int) -> Callable[[Reach], Reach]:
    """Element i is made of those j for which i + pad - stride * j is in the kernel."""
    return lambda own: own.scaled_up(
        stride,
        lambda i: -((dilation * (kernel - 1) - i - pad) // stride),
        lambda i: (i + pad) // stride,
    )


def _resized(node: ir.Node, seen: Seen) -> Seen | None:
    scales = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None  # noqa: PLR2004
    mode = text_of(node, "mode", "nearest")
    place = text_of(node, "coordinate_transformation_mode", "half_pixel")
    centred = place in ("half_pixel", "pytorch_half_pixel")
    if scales is None or not (centred or place == "asymmetric") or number_of(node, "antialias", 0):
        return None
    if any(scale != int(scale) or scale < 1 for scale in scales):
        return None
    # How many elements beyond the one at or before its place each kind of interpolation takes.
    wider = {"nearest": (0, 1), "linear": (0, 1), "cubic": (1, 2)}[mode]

    def up(by: int) -> Callable[[Reach], Reach]:
        def at(i: int) -> int:
            return math.floor(Fraction(2 * i + 1, 2 * by) - Fraction(1, 2) if centred else i // by)

        return lambda own: own.scaled_up(by, lambda i: at(i) - wider[0], lambda i: at(i) + wider[1])

    assert seen.axes is not None  # noqa: S101  (_through saw to it)
    height, width = (int(scales[axis]) for axis in seen.axes)
    return seen.mapped(up(height) if height > 1 else _same, up(width) if width > 1 else _same)


def _moved(node: ir.Node, seen: Seen) -> Seen | None:
    """Slice and Pad, along height and width by known numbers of elements."""
    assert seen.axes is not None  # noqa: S101
    rank = seen.rank
    if node.op_type == "Pad":
        pads = constant_of(node.inputs[1])
        if pads is None or len(pads) != 2 * rank:
            return None
        rows, columns = (-int(pads[axis]) for axis in seen.axes)
        return seen.mapped(
            lambda own: own.own_counts().shifted(rows).own_counts(),
            lambda own: own.own_counts().shifted(columns).own_counts(),
        )
    arrays = [constant_of(value) for value in node.inputs[1:]]
    if any(array is None for array in arrays):
        return None
    starts, _, *rest = (array.tolist() for array in arrays if array is not None)
    axes = [axis % rank for axis in (rest[0] if rest else range(len(starts)))]
    steps = rest[1] if len(rest) > 1 else [1] * len(axes)
    begins = dict(zip(axes, starts, strict=True))
    if any(step != 1 for axis, step in zip(axes, steps, strict=True) if axis in seen.axes):
        return None
    rows, columns = (begins.get(axis, 0) for axis in seen.axes)
    if rows < 0 or columns < 0:
        return None
    return seen.mapped(lambda own: own.shifted(rows), lambda own: own.shifted(columns))


def _permuted(node: ir.Node, seen: Seen) -> Seen:
    assert seen.axes is not None  # noqa: S101
    perm = perm_of(node)
    return replace(seen, axes=(perm.index(seen.axes[0]), perm.index(seen.axes[1])))


def _along(node: ir.Node, seen: Seen) -> Seen | None:
    assert seen.axes is not None  # noqa: S101
    axis = number_of(node, "axis", 0 if node.op_type == "Split" else -1) % seen.rank
    return None if axis in seen.axes else seen


def _normalized(node: ir.Node, seen: Seen) -> Seen:
    """Layer normalisation, over its axis and all after it."""
    assert seen.axes is not None  # noqa: S101
    first = number_of(node, "axis", -1) % seen.rank
    return seen if first > max(seen.axes) else seen.of_all(node, axes=seen.axes)


def _multiplied(node: ir.Node, seen: Seen) -> Seen | None:
    """A product with a constant matrix mixes the last axis."""
    assert seen.axes is not None  # noqa: S101
    mixes = constant_of(node.inputs[1]) is not None and seen.rank - 1 not in seen.axes
    return seen if mixes else None


def reduced(node: ir.Node, seen: Seen) -> Seen:
    """Reductions and ArgMax: of channels, or of all there is to see."""
    assert seen.axes is not None  # noqa: S101
    axes = reduced_axes(node, seen.rank)
    keeps = bool(number_of(node, "keepdims", 1))
    if axes is None or set(axes) & set(seen.axes):
        return seen.of_all(node, axes=None)
    if keeps:
        return seen
    height, width = (axis - sum(gone < axis for gone in axes) for axis in seen.axes)
    return replace(seen, axes=(height, width), rank=seen.rank - len(axes))


def _whole(node: ir.Node, seen: Seen) -> Seen:
    """Instance and group normalisation: the size stays, and every pixel counts."""
    return seen.of_all(node, axes=seen.axes)


def _depth_to_space(node: ir.Node, seen: Seen) -> Seen | None:
    by = number_of(node, "blocksize", 1)
    up = _transposed(by, by, 1, 0)
    return seen.mapped(up, up) if seen.axes == (2, 3) else None


def _space_to_depth(node: ir.Node, seen: Seen) -> Seen | None:
    by = number_of(node, "blocksize", 1)

    def down(own: Reach) -> Reach:
        return own.through_window(by, by, 1, (0, 0))

    return seen.mapped(down, down) if seen.axes == (2, 3) else None


STEPS: dict[str, Callable[[ir.Node, Seen], Seen | None]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"), _convolved),
    **dict.fromkeys(_ALONG_AN_AXIS, _along),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization"), _whole),
    **dict.fromkeys(("Slice", "Pad"), _moved),
    "DepthToSpace": _depth_to_space,
    "LayerNormalization": _normalized,
    "MatMul": _multiplied,
    "Resize": _resized,
    "SpaceToDepth": _space_to_depth,
    "Transpose": _permuted,
}


def _same(own: Reach) -> Reach:
    return own
