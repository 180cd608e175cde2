"""Read receptive fields and working memory off the nodes of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

import onnx_ir as ir

from unetrt.sizes import ReceptiveField

from .passes.nodes import constant_of, perm_of

__all__ = ["bytes_per_pixel", "receptive_field"]


def kernel_of(node: ir.Node) -> tuple[int, int] | None:
    """Return height and width of a window; None where it has others, or none that is known."""
    if "kernel_shape" in node.attributes:
        sides = tuple(node.attributes["kernel_shape"].as_ints())
    elif node.op_type.startswith("Conv") and node.inputs[1].shape is not None:
        sides = tuple(int(side) for side in list(node.inputs[1].shape)[2:])
    else:
        return None
    return (sides[0], sides[1]) if len(sides) == 2 else None  # noqa: PLR2004


def pads_of(
    node: ir.Node, kernels: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return (begin, end) along each axis, at sides that the strides divide."""
    auto = text_of(node, "auto_pad", "NOTSET")
    if auto.startswith("SAME"):
        totals = [
            max(0, dilation * (kernel - 1) + 1 - stride)
            for kernel, stride, dilation in zip(kernels, strides, dilations, strict=True)
        ]
        halves = [(total // 2, total - total // 2) for total in totals]
        return halves if auto == "SAME_UPPER" else [(end, begin) for begin, end in halves]
    if auto == "VALID" or "pads" not in node.attributes:
        return [(0, 0), (0, 0)]
    top, left, bottom, right = node.attributes["pads"].as_ints()
    return [(top, bottom), (left, right)]


def reduced_axes(node: ir.Node, rank: int) -> list[int] | None:
    """Return the axes; None where they are all, or not known."""
    if node.op_type.startswith("Arg"):
        return [number_of(node, "axis", 0) % rank]
    if "axes" in node.attributes:
        axes: Sequence[int] = node.attributes["axes"].as_ints()
    else:
        array = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
        if array is None:
            return None
        axes = array.tolist()
    return [axis % rank for axis in axes]


def pair_of(node: ir.Node, name: str, default: int) -> tuple[int, int]:
    """Return an attribute of two numbers."""
    if name not in node.attributes:
        return default, default
    first, second = node.attributes[name].as_ints()
    return first, second


def number_of(node: ir.Node, name: str, default: int) -> int:
    """Return an attribute of one number."""
    return node.attributes[name].as_int() if name in node.attributes else default


def text_of(node: ir.Node, name: str, default: str) -> str:
    """Return an attribute of text."""
    return node.attributes[name].as_string() if name in node.attributes else default


_IMAGE_RANK = 4


@dataclass(frozen=True, slots=True)
class Reach:
    """Along one axis: element i depends on pixels from stride * i - before to stride * i + after.

    `before` and `after` are infinite where every pixel counts.
    """

    stride: Fraction = Fraction(1)
    before: Fraction | float = Fraction(0)
    after: Fraction | float = Fraction(0)

    def own_counts(self) -> Reach:
        """Let an element see its own place: what is padded there is wrong where it is not."""
        return replace(self, before=max(self.before, 0), after=max(self.after, 0))

    def shifted(self, elements: int) -> Reach:
        """Return the reach of what lies so many elements further on."""
        moved = self.stride * elements
        return replace(self, before=self.before - moved, after=self.after + moved)

    def through_window(self, kernel: int, stride: int, dilation: int, pads: Sequence[int]) -> Reach:
        """Return that of a convolution or pooling."""
        below = self.own_counts() if any(pads) else self
        begun = below.shifted(-pads[0])
        after = begun.after + self.stride * dilation * (kernel - 1)
        return Reach(self.stride * stride, begun.before, after)

    def scaled_up(self, by: int, first: Callable[[int], int], last: Callable[[int], int]) -> Reach:
        """Return that of `by` elements for one: number i is made of those `first` to `last` of i.

        Both repeat with `by`: first(i + by) is first(i) + 1.
        """
        below, stride = self.own_counts(), self.stride / by
        phases = range(by)
        before = max(stride * i - self.stride * first(i) for i in phases)
        after = max(self.stride * last(i) - stride * i for i in phases)
        return Reach(stride, below.before + before, below.after + after)

    def joined(self, other: Reach) -> Reach:
        """Return the reach of both together."""
        return Reach(self.stride, max(self.before, other.before), max(self.after, other.after))


_ALL = Reach(Fraction(1), math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a value knows of the image.

    Attributes:
        axes: of the value, that are the image's height and width; None where they are gone.
        rows, columns: how far it sees along each.
        unbounded_by: the node through which it sees everything.
        rank: of the value.
    """

    axes: tuple[int, int] | None
    rows: Reach = Reach()
    columns: Reach = Reach()
    unbounded_by: str = ""
    rank: int = _IMAGE_RANK

    def of_all(self, node: ir.Node, *, axes: tuple[int, int] | None) -> Seen:
        """Return what a node knows that every pixel counts for."""
        by = self.unbounded_by or node.name or node.op_type
        rows, columns = (
            replace(_ALL, stride=own.stride) if axes else _ALL for own in (self.rows, self.columns)
        )
        return Seen(axes, rows, columns, by, self.rank)

    def mapped(self, rows: Callable[[Reach], Reach], columns: Callable[[Reach], Reach]) -> Seen:
        """Return it after something was done along each axis."""
        return replace(self, rows=rows(self.rows), columns=columns(self.columns))


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


def bytes_per_pixel(model: ir.Model, layout: str) -> float:
    """Return the bytes of all values that are needed at once, for each pixel of the image.

    The most there are while the nodes run one after another, nothing computed in place; a library
    that fuses or reorders layers needs less, or some more.
    """
    seen = seen_by_value(model.graph, layout)
    nodes = list(model.graph)
    last_read = {value: number for number, node in enumerate(nodes) for value in node.inputs}
    last_read.update(dict.fromkeys(model.graph.outputs, len(nodes)))
    live = sum(_bytes(value, seen.get(value)) for value in model.graph.inputs)
    most = live
    for number, node in enumerate(nodes):
        live += sum(_bytes(value, seen.get(value)) for value in node.outputs)
        most = max(most, live)
        for value in {value for value in node.inputs if value is not None}:
            if last_read[value] == number and value in seen:
                live -= _bytes(value, seen[value])
    return float(most)


def _bytes(value: ir.Value, seen: Seen | None) -> float:
    """Return the bytes of a value for each pixel of the image; those without axes count nothing."""
    if seen is None or seen.axes is None or value.shape is None or value.dtype is None:
        return 0.0
    others = [size for axis, size in enumerate(value.shape) if axis and axis not in seen.axes]
    each = prod(size for size in others if isinstance(size, int)) * value.dtype.itemsize
    return float(each / (seen.rows.stride * seen.columns.stride))
