"""Turn an ONNX graph into a PyTorch module, operator by operator, for `peer_torch`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional

from unetrt.errors import UnsupportedModel

__all__ = ["to_module"]

_Attributes = dict[str, Any]
_Add = Callable[["GraphBuilder", list[str], _Attributes], Any]
"""Given a node's inputs by name and its attributes; returns the fx node of its output."""


def tensor_of(array: Any) -> torch.Tensor:
    """Return an array of ONNX's as a tensor with memory of its own."""
    return torch.from_numpy(array.copy())


def _pads(attributes: _Attributes, kernel: Sequence[int]) -> list[int]:
    """Return top, left, bottom, right; "same" only where no stride enters it."""
    auto = attributes.get("auto_pad", b"NOTSET")
    if auto in {b"NOTSET", b"VALID"}:
        return list(attributes.get("pads", [0, 0, 0, 0]))
    if list(attributes.get("strides", [1, 1])) != [1, 1] or auto != b"SAME_UPPER":
        raise UnsupportedModel("The torch peer cannot pad like this", got=auto.decode())
    extent = [(k - 1) * d for k, d in zip(kernel, attributes.get("dilations", [1, 1]), strict=True)]
    return [r // 2 for r in extent] + [r - r // 2 for r in extent]


def _with_weights(layer: Any, b: GraphBuilder, names: list[str]) -> Any:
    with torch.no_grad():
        layer.weight.copy_(tensor_of(b.weights[names[1]]))
        if layer.bias is not None:
            layer.bias.copy_(tensor_of(b.weights[names[2]]))
    return layer


def _conv(b: GraphBuilder, names: list[str], a: _Attributes) -> Any:
    kernel = b.weights[names[1]]
    top, left, bottom, right = _pads(a, kernel.shape[2:])
    x = b.value(names[0])
    even = (top, left) == (bottom, right)
    if not even:
        x = b.call(functional.pad, x, [left, right, top, bottom])
    groups = a.get("group", 1)
    layer = nn.Conv2d(
        kernel.shape[1] * groups,
        kernel.shape[0],
        kernel.shape[2:],
        stride=tuple(a.get("strides", (1, 1))),
        padding=(top, left) if even else 0,
        dilation=tuple(a.get("dilations", (1, 1))),
        groups=groups,
        bias=len(names) > 2,  # noqa: PLR2004
    )
    return b.layer(_with_weights(layer, b, names), x)


def _conv_transpose(b: GraphBuilder, names: list[str], a: _Attributes) -> Any:
    kernel = b.weights[names[1]]
    if a.get("auto_pad", b"NOTSET") != b"NOTSET" or "output_shape" in a:
        raise UnsupportedModel("The torch peer wants the pads of a ConvTranspose as numbers")
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    groups = a.get("group", 1)
    # PyTorch takes the same from both edges; Keras' "same" takes a row from one, which is cut off.
    both = (min(top, bottom), min(left, right))
    layer = nn.ConvTranspose2d(
        kernel.shape[0],
        kernel.shape[1] * groups,
        kernel.shape[2:],
        stride=tuple(a.get("strides", (1, 1))),
        padding=both,
        output_padding=tuple(a.get("output_padding", (0, 0))),
        dilation=tuple(a.get("dilations", (1, 1))),
        groups=groups,
        bias=len(names) > 2,  # noqa: PLR2004
    )
    x = b.layer(_with_weights(layer, b, names), b.value(names[0]))
    first = [top - both[0], left - both[1]]
    last = [bottom - both[0], right - both[1]]
    if not any(first + last):
        return x
    cut = [slice(f, -e if e else None) for f, e in zip(first, last, strict=True)]
    return b.call(operator.getitem, x, (slice(None), slice(None), *cut))


def _max_pool(b: GraphBuilder, names: list[str], a: _Attributes) -> Any:
    top, left, bottom, right = _pads(a, a["kernel_shape"])
    if (top, left) != (bottom, right):
        raise UnsupportedModel("The torch peer cannot pad like this", got=a.get("pads"))
    return b.call(
        functional.max_pool2d,
        b.value(names[0]),
        tuple(a["kernel_shape"]),
        stride=tuple(a.get("strides", (1, 1))),
        padding=(top, left),
        dilation=tuple(a.get("dilations", (1, 1))),
        ceil_mode=bool(a.get("ceil_mode", 0)),
    )


def _batch_normalization(b: GraphBuilder, names: list[str], a: _Attributes) -> Any:
    scale, bias, mean, variance = (tensor_of(b.weights[name]) for name in names[1:5])
    layer = nn.BatchNorm2d(len(scale), eps=a.get("epsilon", 1e-5))
    layer.load_state_dict(
        {
            "weight": scale,
            "bias": bias,
            "running_mean": mean,
            "running_var": variance,
            "num_batches_tracked": torch.tensor(0),
        }
    )
    return b.layer(layer.eval(), b.value(names[0]))


def _resize(b: GraphBuilder, names: list[str], a: _Attributes) -> Any:
    """Scale up by whole factors: nearest, or linear between the centres of pixels."""
    mode = a.get("mode", b"nearest").decode()
    how = a.get("coordinate_transformation_mode", b"half_pixel").decode()
    scales = b.weights.get(names[2]) if len(names) > 2 else None  # noqa: PLR2004
    known = (mode == "linear" and how == "half_pixel") or (
        # of whole factors, all these pick the pixel that lies over
        mode == "nearest" and how in {"asymmetric", "half_pixel", "tf_half_pixel_for_nn"}
    )
    if scales is None or len(scales) != 4 or list(scales[:2]) != [1, 1] or not known:  # noqa: PLR2004
        raise UnsupportedModel(
            "The torch peer cannot resize like this",
            got=f"{mode}, {how}, scales {scales}",
            expected="nearest or half-pixel linear, by constant factors of the last two axes",
        )
    return b.call(
        functional.interpolate,
        b.value(names[0]),
        scale_factor=tuple(float(s) for s in scales[2:]),
        mode="nearest" if mode == "nearest" else "bilinear",
    )


def _cast(b: GraphBuilder, names: list[str], a: _Attributes) -> Any:
    name = onnx.helper.tensor_dtype_to_np_dtype(a["to"]).name
    return b.call(torch.Tensor.to, b.value(names[0]), getattr(torch, name))


def _constants(b: GraphBuilder, name: str) -> list[int]:
    return [int(number) for number in b.weights[name].reshape(-1)]


def _slice(b: GraphBuilder, names: list[str], _a: _Attributes) -> Any:
    starts, ends, *rest = (_constants(b, name) for name in names[1:])
    axes = rest[0] if rest else list(range(len(starts)))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    if min(axes) < 0 or min(steps) < 1:
        raise UnsupportedModel("The torch peer cannot slice like this", got=(axes, steps))
    cut = [slice(None)] * (max(axes) + 1)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(start, end, step)
    return b.call(operator.getitem, b.value(names[0]), tuple(cut))


def _elementwise(function: Callable[..., Any]) -> _Add:
    return lambda b, names, _a: b.call(function, *(b.value(name) for name in names))


def _clip(b: GraphBuilder, names: list[str], _a: _Attributes) -> Any:
    ends = [float(b.weights[name]) if name else None for name in [*names[1:], "", ""][:2]]
    return b.call(torch.clamp, b.value(names[0]), min=ends[0], max=ends[1])


OPERATORS: dict[str, _Add] = {
    "Add": _elementwise(torch.add),
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda b, n, a: b.call(torch.cat, [b.value(name) for name in n], dim=a["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Div": _elementwise(torch.div),
    "Identity": lambda b, n, _a: b.value(n[0]),
    "LeakyRelu": lambda b, n, a: b.call(functional.leaky_relu, b.value(n[0]), a.get("alpha", 0.01)),
    "MaxPool": _max_pool,
    "Mul": _elementwise(torch.mul),
    "Relu": _elementwise(torch.relu),
    "Resize": _resize,
    "Sigmoid": _elementwise(torch.sigmoid),
    "Slice": _slice,
    "Softmax": lambda b, n, a: b.call(torch.softmax, b.value(n[0]), dim=a.get("axis", -1)),
    "Sub": _elementwise(torch.sub),
    "Transpose": lambda b, n, a: b.call(torch.permute, b.value(n[0]), tuple(a["perm"])),
}


class GraphBuilder:
    """Grow an fx graph node by node.

    Attributes:
        weights: initialisers and constants, by name.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.root = nn.Module()
        self.graph = torch.fx.Graph()
        self.weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self._values: dict[str, Any] = {}
        for value in graph.input:
            if value.name not in self.weights:
                self._values[value.name] = self.graph.placeholder(f"input{len(self._values)}")
        for node in graph.node:
            self._add(node)
        self.graph.output(self._values[graph.output[0].name])

    def value(self, name: str) -> Any:
        """Return a tensor of the graph; a weight becomes a buffer."""
        if name not in self._values:
            buffer = f"constant{len(self._values)}"
            self.root.register_buffer(buffer, tensor_of(self.weights[name]))
            self._values[name] = self.graph.get_attr(buffer)
        return self._values[name]

    def layer(self, module: nn.Module, x: Any) -> Any:
        """Call a module with weights of its own."""
        name = f"layer{sum(1 for _ in self.root.children())}"
        self.root.add_module(name, module)
        return self.graph.call_module(name, (x,))

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a function of PyTorch."""
        return self.graph.call_function(function, arguments, named)

    def _add(self, node: onnx.NodeProto) -> None:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Constant":
            self.weights[node.output[0]] = numpy_helper.to_array(attributes["value"])
            return
        if node.op_type not in OPERATORS or len(node.output) != 1:
            raise UnsupportedModel(
                "The torch peer cannot run this network",
                got=f"a node {node.op_type} ({node.name})",
                expected=", ".join(sorted(OPERATORS)),
            )
        self._values[node.output[0]] = OPERATORS[node.op_type](self, list(node.input), attributes)


def to_module(model: onnx.ModelProto) -> nn.Module:
    """Return a module with the graph's weights that maps its first input to its first output.

    Raises:
        UnsupportedModel: a node of another kind, or with attributes that are not known here.
    """
    builder = GraphBuilder(model)
    return torch.fx.GraphModule(builder.root, builder.graph).eval()
