"""Read receptive fields and working memory off the nodes of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import onnx_ir as ir

from unetrt.sizes import ReceptiveField

from .passes.nodes import axes_of, constant_of, integer_of, is_image, perm_of

__all__ = ["bytes_per_pixel", "receptive_field"]


def receptive_field(model: ir.Model, layout: str) -> ReceptiveField:
    """Return an upper bound of the receptive field of the maps that a graph puts out.

    It is unbounded too where a node is of a kind that is not known here.

    Args:
        model: the graph; its image inputs have four axes.
        layout: "NHWC" or "NCHW", of those inputs.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,1,8,8] x) => (float[1,1,8,8] y)
    ...     <float[1,1,3,3] kernel = {1, 1, 1, 1, 1, 1, 1, 1, 1}> {
    ...         y = Conv <pads = [1, 1, 1, 1]> (x, kernel) }''')
    >>> field = receptive_field(model, "NCHW")
    >>> field.before, field.after
    ((1, 1), (1, 1))
    """
    fields = _fields(model.graph, layout)
    maps = [fields[value] for value in model.graph.outputs if value in fields]
    maps = [field for field in maps if field.axes is not None] or maps
    unbounded_by = next((field.unbounded_by for field in maps if field.unbounded_by), "")
    if not maps or unbounded_by:
        return ReceptiveField(unbounded_by=unbounded_by or "its output is not a map of its image")
    before, after = (
        tuple(
            max(0, *(math.ceil(getattr(getattr(field, axis), end)) for field in maps))
            for axis in ("rows", "columns")
        )
        for end in ("before", "after")
    )
    strides = [(f.rows.stride, f.columns.stride) for f in fields.values() if f.axes]
    stride = (
        math.lcm(*(math.ceil(rows) for rows, _ in strides)),
        math.lcm(*(math.ceil(columns) for _, columns in strides)),
    )
    return ReceptiveField((before[0], before[1]), (after[0], after[1]), stride)


def bytes_per_pixel(model: ir.Model, layout: str) -> float:
    """Return the bytes of all values that are needed at once, for each pixel of the image.

    It is the largest sum while the nodes run one after another, nothing computed in place; a
    library that fuses or reorders layers needs less, or some more.

    Args:
        model: the graph, its shapes inferred.
        layout: "NHWC" or "NCHW", of its image inputs.

    >>> import onnx_ir as ir
    >>> bytes_per_pixel(ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,8,8,3] x) => (float[1,8,8,3] y) { y = Relu (x) }'''), "NHWC")
    24.0
    """
    fields = _fields(model.graph, layout)
    nodes = list(model.graph)
    last_read = {value: number for number, node in enumerate(nodes) for value in node.inputs}
    last_read.update(dict.fromkeys(model.graph.outputs, len(nodes)))
    live = sum(_bytes(value, fields.get(value)) for value in model.graph.inputs)
    most = live
    for number, node in enumerate(nodes):
        live += sum(_bytes(value, fields.get(value)) for value in node.outputs)
        most = max(most, live)
        for value in {value for value in node.inputs if value is not None}:
            if last_read[value] == number and value in fields:
                live -= _bytes(value, fields[value])
    return float(most)


def _bytes(value: ir.Value, field: _Field | None) -> float:
    """Return the bytes of a value for each pixel of the image; those without axes count nothing."""
    if field is None or field.axes is None or value.shape is None or value.dtype is None:
        return 0.0
    others = [size for axis, size in enumerate(value.shape) if axis and axis not in field.axes]
    each = math.prod(size for size in others if isinstance(size, int)) * value.dtype.itemsize
    return float(each / (field.rows.stride * field.columns.stride))


@dataclass(frozen=True, slots=True)
class _AxisField:
    """Bound along one axis the pixels that element i depends on.

    They are those from stride * i - before to stride * i + after, both infinite where every pixel
    counts.
    """

    stride: Fraction = Fraction(1)
    before: Fraction | float = Fraction(0)
    after: Fraction | float = Fraction(0)

    def with_own_place(self) -> _AxisField:
        """Include an element's own place, on which padding depends."""
        return replace(self, before=max(self.before, 0), after=max(self.after, 0))

    def shifted(self, elements: int) -> _AxisField:
        """Return the field of the values so many elements further on."""
        moved = self.stride * elements
        return replace(self, before=self.before - moved, after=self.after + moved)

    def through_window(
        self, kernel: int, stride: int, dilation: int, pads: Sequence[int]
    ) -> _AxisField:
        """Return the field behind a convolution or pooling."""
        start = (self.with_own_place() if any(pads) else self).shifted(-pads[0])
        after = start.after + self.stride * dilation * (kernel - 1)
        return _AxisField(self.stride * stride, start.before, after)

    def upsampled(
        self, factor: int, first: Callable[[int], int], last: Callable[[int], int]
    ) -> _AxisField:
        """Return the field behind an upsampling whose element i reads elements first(i) to last(i).

        Both repeat with `factor`: first(i + factor) is first(i) + 1.
        """
        start, stride, phases = self.with_own_place(), self.stride / factor, range(factor)
        before = max(stride * i - self.stride * first(i) for i in phases)
        after = max(self.stride * last(i) - stride * i for i in phases)
        return _AxisField(stride, start.before + before, start.after + after)

    def joined(self, other: _AxisField) -> _AxisField:
        """Return the smallest field that holds both."""
        before, after = max(self.before, other.before), max(self.after, other.after)
        return _AxisField(self.stride, before, after)


@dataclass(frozen=True, slots=True)
class _Field:
    """Bound the pixels of the image that a value depends on.

    Attributes:
        axes: of the value, that are the image's height and width; None where they are gone.
        rows, columns: the field along each.
        unbounded_by: the node through which every pixel counts; "" where none does.
        rank: of the value.
    """

    axes: tuple[int, int] | None
    rows: _AxisField = _AxisField()
    columns: _AxisField = _AxisField()
    unbounded_by: str = ""
    rank: int = 4

    def unbounded(self, node: ir.Node, axes: tuple[int, int] | None = None) -> _Field:
        """Return the field behind a node through which every pixel counts."""
        rows, columns = (
            _AxisField(along.stride if axes else Fraction(1), math.inf, math.inf)
            for along in (self.rows, self.columns)
        )
        by = self.unbounded_by or node.name or node.op_type
        return _Field(axes, rows, columns, by, self.rank)

    def mapped(
        self,
        rows: Callable[[_AxisField], _AxisField],
        columns: Callable[[_AxisField], _AxisField],
    ) -> _Field:
        """Return the field after a step along each axis."""
        return replace(self, rows=rows(self.rows), columns=columns(self.columns))


def _fields(graph: ir.Graph, layout: str) -> dict[ir.Value, _Field]:
    """Return the field of each value that depends on an image."""
    axes = (layout.index("H"), layout.index("W")) if layout else None
    fields = {value: _Field(axes) for value in graph.inputs if axes and is_image(value)}
    for node in graph:
        read = [fields[value] for value in node.inputs if value in fields]
        if read:
            fields.update(dict.fromkeys(node.outputs, _behind(node, read)))
    return fields


def _behind(node: ir.Node, read: list[_Field]) -> _Field:
    """Return the field of a node's outputs from those of its inputs."""
    maps = [field for field in read if field.axes is not None]
    if not maps:
        return read[0].unbounded(node)
    joined = maps[0]
    if len({(field.axes, field.rows.stride, field.columns.stride) for field in maps}) > 1:
        return joined.unbounded(node)
    for field in read:
        joined = replace(
            joined,
            rows=joined.rows.joined(field.rows),
            columns=joined.columns.joined(field.columns),
            unbounded_by=joined.unbounded_by or field.unbounded_by,
        )
    if node.op_type in _ELEMENTWISE:
        return joined
    step = _STEPS.get(node.op_type)
    if step is None and node.op_type.startswith(("Reduce", "Arg")):
        step = _reduced
    found = step(node, joined) if step else None
    return joined.unbounded(node) if found is None else found


_ELEMENTWISE = frozenset(
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


def _convolved(node: ir.Node, field: _Field) -> _Field | None:
    kernels = _kernel_of(node)
    if field.axes != (2, 3) or kernels is None:
        return None
    strides, dilations = _pair_of(node, "strides"), _pair_of(node, "dilations")
    pads = _pads_of(node, kernels, strides, dilations)
    rows, columns = zip(kernels, strides, dilations, pads, strict=True)
    if node.op_type == "ConvTranspose":
        return field.mapped(_transposed(*rows), _transposed(*columns))
    return field.mapped(
        lambda along: along.through_window(*rows), lambda along: along.through_window(*columns)
    )


def _transposed(
    kernel: int, stride: int, dilation: int, pads: tuple[int, int]
) -> Callable[[_AxisField], _AxisField]:
    """Return the step of a transposed convolution along one axis.

    Element i is made of those j for which i + pads[0] - stride * j is in the kernel.
    """
    return lambda along: along.upsampled(
        stride,
        lambda i: -((dilation * (kernel - 1) - i - pads[0]) // stride),
        lambda i: (i + pads[0]) // stride,
    )


def _resized(node: ir.Node, field: _Field) -> _Field | None:
    scales = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None  # noqa: PLR2004
    mode = _text_of(node, "mode", "nearest")
    place = _text_of(node, "coordinate_transformation_mode", "half_pixel")
    centred = place in ("half_pixel", "pytorch_half_pixel")
    if scales is None or not (centred or place == "asymmetric") or integer_of(node, "antialias", 0):
        return None
    if any(scale != int(scale) or scale < 1 for scale in scales):
        return None
    # How many elements beyond the one at or before its place each kind of interpolation takes.
    wider = {"nearest": (0, 1), "linear": (0, 1), "cubic": (1, 2)}[mode]

    def up(factor: int) -> Callable[[_AxisField], _AxisField]:
        def at(i: int) -> int:
            half = Fraction(1, 2)
            return math.floor((i + half) / factor - half) if centred else i // factor

        if factor == 1:
            return lambda along: along
        return lambda along: along.upsampled(
            factor, lambda i: at(i) - wider[0], lambda i: at(i) + wider[1]
        )

    assert field.axes is not None  # noqa: S101  (_behind saw to it)
    height, width = (int(scales[axis]) for axis in field.axes)
    return field.mapped(up(height), up(width))


def _padded(node: ir.Node, field: _Field) -> _Field | None:
    assert field.axes is not None  # noqa: S101
    pads = constant_of(node.inputs[1])
    if pads is None or len(pads) != 2 * field.rank:
        return None
    rows, columns = (-int(pads[axis]) for axis in field.axes)
    return field.mapped(
        lambda along: along.with_own_place().shifted(rows).with_own_place(),
        lambda along: along.with_own_place().shifted(columns).with_own_place(),
    )


def _sliced(node: ir.Node, field: _Field) -> _Field | None:
    assert field.axes is not None  # noqa: S101
    arrays = [constant_of(value) for value in node.inputs[1:]]
    if any(array is None for array in arrays):
        return None
    starts, _, *rest = (array.tolist() for array in arrays if array is not None)
    axes = [axis % field.rank for axis in (rest[0] if rest else range(len(starts)))]
    steps = rest[1] if len(rest) > 1 else [1] * len(axes)
    begins = dict(zip(axes, starts, strict=True))
    if any(step != 1 for axis, step in zip(axes, steps, strict=True) if axis in field.axes):
        return None
    rows, columns = (begins.get(axis, 0) for axis in field.axes)
    if rows < 0 or columns < 0:
        return None
    return field.mapped(lambda along: along.shifted(rows), lambda along: along.shifted(columns))


def _permuted(node: ir.Node, field: _Field) -> _Field:
    assert field.axes is not None  # noqa: S101
    perm = perm_of(node)
    return replace(field, axes=(perm.index(field.axes[0]), perm.index(field.axes[1])))


def _along_an_axis(node: ir.Node, field: _Field) -> _Field | None:
    assert field.axes is not None  # noqa: S101
    axis = integer_of(node, "axis", 0 if node.op_type == "Split" else -1) % field.rank
    return None if axis in field.axes else field


def _layer_normalized(node: ir.Node, field: _Field) -> _Field:
    """Return the field behind a normalisation over an axis and all after it."""
    assert field.axes is not None  # noqa: S101
    first = integer_of(node, "axis", -1) % field.rank
    return field if first > max(field.axes) else field.unbounded(node, field.axes)


def _multiplied(node: ir.Node, field: _Field) -> _Field | None:
    """Return the field behind a product with a constant matrix, which mixes the last axis."""
    assert field.axes is not None  # noqa: S101
    mixes = constant_of(node.inputs[1]) is not None and field.rank - 1 not in field.axes
    return field if mixes else None


def _reduced(node: ir.Node, field: _Field) -> _Field:
    """Return the field behind a reduction or ArgMax, of channels or of height and width."""
    assert field.axes is not None  # noqa: S101
    axes = [integer_of(node, "axis", 0)] if node.op_type.startswith("Arg") else axes_of(node)
    axes = None if axes is None else [axis % field.rank for axis in axes]
    if axes is None or set(axes) & set(field.axes):
        return field.unbounded(node)
    if integer_of(node, "keepdims", 1):
        return field
    height, width = (axis - sum(gone < axis for gone in axes) for axis in field.axes)
    return replace(field, axes=(height, width), rank=field.rank - len(axes))


def _image_normalized(node: ir.Node, field: _Field) -> _Field:
    """Return the field behind an instance or group normalisation, which keeps the size."""
    return field.unbounded(node, field.axes)


def _depth_to_space(node: ir.Node, field: _Field) -> _Field | None:
    factor = integer_of(node, "blocksize", 1)
    up = _transposed(factor, factor, 1, (0, 0))
    return field.mapped(up, up) if field.axes == (2, 3) else None


def _space_to_depth(node: ir.Node, field: _Field) -> _Field | None:
    factor = integer_of(node, "blocksize", 1)

    def down(along: _AxisField) -> _AxisField:
        return along.through_window(factor, factor, 1, (0, 0))

    return field.mapped(down, down) if field.axes == (2, 3) else None


_STEPS: dict[str, Callable[[ir.Node, _Field], _Field | None]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"), _convolved),
    **dict.fromkeys(("Concat", "Hardmax", "LogSoftmax", "Softmax", "Split"), _along_an_axis),
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization"), _image_normalized),
    "DepthToSpace": _depth_to_space,
    "LayerNormalization": _layer_normalized,
    "MatMul": _multiplied,
    "Pad": _padded,
    "Resize": _resized,
    "Slice": _sliced,
    "SpaceToDepth": _space_to_depth,
    "Transpose": _permuted,
}


def _kernel_of(node: ir.Node) -> tuple[int, int] | None:
    """Return height and width of a window; None where it has others, or none that is known."""
    if "kernel_shape" in node.attributes:
        sides = tuple(node.attributes["kernel_shape"].as_ints())
    elif node.op_type.startswith("Conv") and node.inputs[1].shape is not None:
        sides = tuple(int(side) for side in list(node.inputs[1].shape)[2:])
    else:
        return None
    return (sides[0], sides[1]) if len(sides) == 2 else None  # noqa: PLR2004


def _pads_of(
    node: ir.Node, kernels: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return (begin, end) along each axis, at sides that the strides divide."""
    auto = _text_of(node, "auto_pad", "NOTSET")
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


def _pair_of(node: ir.Node, name: str) -> tuple[int, int]:
    """Return an attribute of two integers, by default ones."""
    if name not in node.attributes:
        return 1, 1
    first, second = node.attributes[name].as_ints()
    return first, second


def _text_of(node: ir.Node, name: str, default: str) -> str:
    return node.attributes[name].as_string() if name in node.attributes else default
