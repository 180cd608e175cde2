"""Count what the layers of a graph cost at least: operations and bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError, UnsupportedModel

__all__ = [
    "LayerCost",
    "NetworkCost",
    "Value",
    "block_of",
    "graph_cost",
    "node_cost",
    "shaped_graph",
]

_SMALL = 64
"""Elements up to which a constant may be a shape, which inference wants to read."""

_FREE = ("batch", "height", "width")


@dataclass(frozen=True, slots=True)
class Value:
    """Describe a tensor of a graph.

    Attributes:
        shape: whole numbers.
        dtype: NumPy's name.
        itemsize: bytes of one number.
        constant: whether the file holds it.
    """

    shape: tuple[int, ...]
    dtype: str
    itemsize: int
    constant: bool

    @property
    def nbytes(self) -> int:
        """Return the bytes of the whole tensor."""
        return prod(self.shape) * self.itemsize


def shaped_graph(
    model: OnnxModel, *, batch: int, height: int, width: int
) -> tuple[Any, dict[str, Value]]:
    """Return the GraphProto of `model` without its weights, and each value's shape and type.

    Axes that the file fixes stay as they are.

    Raises:
        ArtifactError: the file is no ONNX file.
        UnsupportedModel: a shape depends on the data.
        MissingDependency: onnx is not installed.
    """
    onnx = vendor.onnx()
    try:
        proto = onnx.load(model.path, load_external_data=False)
    except Exception as error:  # protobuf's own errors share no base but Exception
        raise ArtifactError(f"Cannot read {model.path}", got=error, expected="ONNX") from error
    graph, sizes = proto.graph, {"batch": batch, "height": height, "width": width}
    held = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_param:
                name = "batch" if axis == 0 else dimension.dim_param
                dimension.dim_value = sizes.get(name, 1)
    _weights_as_inputs(onnx, graph)
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    values = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        values[value.name] = _value(onnx, value, constant=value.name in held)
    for tensor in inferred.initializer:
        values[tensor.name] = _held(onnx, tensor)
    missing = [n for node in inferred.node for n in node.output if n and values.get(n) is None]
    if missing:
        raise UnsupportedModel(
            f"Cannot tell the shapes in {model.path} from its graph",
            got=f"{len(missing)} of unknown shape, such as {missing[0]}",
            expected="shapes that follow from the image's",
        )
    return inferred, {name: value for name, value in values.items() if value is not None}


def _weights_as_inputs(onnx: Any, graph: Any) -> None:
    """Reduce large weights to shape and type: shape inference would copy all of them."""
    large = [t for t in graph.initializer if prod(t.dims) > _SMALL or t.external_data]
    small = [t for t in graph.initializer if not (prod(t.dims) > _SMALL or t.external_data)]
    graph.input.extend(
        onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in large
    )
    del graph.initializer[:]
    graph.initializer.extend(small)


def _value(onnx: Any, value: Any, *, constant: bool) -> Value | None:
    tensor = value.type.tensor_type
    dimensions = tensor.shape.dim
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in dimensions):
        return None
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return Value(tuple(d.dim_value for d in dimensions), dtype.name, dtype.itemsize, constant)


def _held(onnx: Any, tensor: Any) -> Value:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return Value(tuple(tensor.dims), dtype.name, dtype.itemsize, constant=True)


_PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

_POINTWISE = {
    "Abs", "Add", "BatchNormalization", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu",
    "HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "Neg", "PRelu", "QuantizeLinear", "Relu",
    "Sigmoid", "Softplus", "Sub", "Tanh",
}  # fmt: skip

_RETYPES = {"Cast", "QuantizeLinear"}
"""Nodes that any layer can do with its output."""

_ASKS_SIZES = {"Shape", "Size"}

_MOVES_NOTHING = {"DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True, slots=True)
class LayerCost:
    """Count the cost of a node with what is fused into it.

    Attributes:
        name: of its first node, or of its output: the Keras layer's, where the graph has its names.
        block: the Keras block that it stands in, see `block_of`.
        op: ONNX's name of the first node's kind.
        computes_in: NumPy's name of the type of its weights, else of its output: "float16".
        flops: operations; a multiply-add counts twice. 0 but for products.
        bytes_read, bytes_written: of memory; weights are read.
        shapes: of the first node's inputs in its order, and of its output.
        fused: kinds of the nodes that it swallows, in order.
    """

    name: str
    block: str
    op: str
    computes_in: str
    flops: int
    bytes_read: int
    bytes_written: int
    shapes: tuple[tuple[int, ...], ...]
    fused: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Return the bytes read and written."""
        return self.bytes_read + self.bytes_written


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """Collect the layers of a network at one size, in the graph's order."""

    precision: str
    batch: int
    height: int
    width: int
    channels: int
    layers: tuple[LayerCost, ...]

    @property
    def flops(self) -> int:
        """Return the operations of one run."""
        return sum(layer.flops for layer in self.layers)

    @property
    def nbytes(self) -> int:
        """Return the bytes that all layers move, one by one."""
        return sum(layer.nbytes for layer in self.layers)


def block_of(name: str) -> str:
    """Return the Keras block of a layer by its name.

    >>> block_of("down2/conv1")
    'down2'
    """
    return name.partition("/")[0]


def graph_cost(model: OnnxModel, *, batch: int, height: int, width: int) -> NetworkCost:
    """Count what `model` costs at that size; sides that the file fixes stay as they are.

    Raises:
        ArtifactError, UnsupportedModel, MissingDependency: see `shaped_graph`.
    """
    graph, values = shaped_graph(model, batch=batch, height=height, width=width)
    outputs = {value.name for value in graph.output}
    layers = _Reader(list(graph.node), outputs, values).layers()
    image = values[graph.input[0].name].shape
    channels = image[model.inputs[0].channel_axis if model.inputs[0].is_image else -1]
    return NetworkCost(model.precision, batch, height, width, channels, layers)


def node_cost(node: Any, values: dict[str, Value]) -> LayerCost:
    """Count what a node of a shaped graph costs on its own, nothing fused into it."""
    (layer,) = _Reader([node], set(node.output), dict(values)).layers()
    return layer


class _Reader:
    """Walk a graph once; each node becomes a layer, part of one, or nothing."""

    def __init__(self, nodes: list[Any], outputs: set[str], values: dict[str, Value]) -> None:
        self._nodes = nodes
        self._values = values
        self._outputs = outputs
        self._reads: dict[str, int] = {}
        for node in self._nodes:
            for name in node.input:
                self._reads[name] = self._reads.get(name, 0) + 1
        self._alias: dict[str, str] = {}
        self._made_in: dict[str, int] = {}
        """The layer that makes a value, by its place among those found."""
        self._found: list[LayerCost] = []

    def layers(self) -> tuple[LayerCost, ...]:
        """Return what the nodes cost, in their order."""
        for node in self._nodes:
            if node.op_type in _ASKS_SIZES or all(map(self._is_constant, node.input)):
                self._known_beforehand(node)
            elif self._moves_nothing(node):
                source, made = node.input[0], node.output[0]
                self._alias[made] = source
                if source in self._made_in:
                    self._made_in[made] = self._made_in[source]
            else:
                self._add(node)
        return tuple(self._found)

    def _known_beforehand(self, node: Any) -> None:
        """Mark the output of a node of constants as constant: it is computed at build time."""
        for name in filter(None, node.output):
            self._values[name] = replace(self._values[name], constant=True)
        if node.op_type in _MOVES_NOTHING:
            self._alias[node.output[0]] = node.input[0]

    def _add(self, node: Any) -> None:
        joined = next((name for name in reversed(node.input) if self._takes(name, node)), None)
        if joined is None:
            self._found.append(self._layer(node))
            host = len(self._found) - 1
        else:
            host = self._made_in[joined]
            self._found[host] = self._swallowed(self._found[host], node, joined)
        self._made_in.update((name, host) for name in node.output if name)

    def _takes(self, name: str, node: Any) -> bool:
        """Tell whether the layer that makes `name` can compute `node` on the way out."""
        if self._reads[name] != 1 or name in self._outputs or name not in self._made_in:
            return False
        host = self._found[self._made_in[name]]
        return node.op_type in _RETYPES or (
            node.op_type in _POINTWISE and host.op in _PRODUCTS | _POINTWISE
        )

    def _is_constant(self, name: str) -> bool:
        return not name or self._values[name].constant

    def _moves_nothing(self, node: Any) -> bool:
        if node.op_type == "Transpose":
            shape = self._values[node.input[0]].shape
            order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
            order = list(reversed(range(len(shape)))) if order is None else order
            moved = [axis for axis in order if shape[axis] > 1]
            return moved == sorted(moved)
        return node.op_type in _MOVES_NOTHING

    def _layer(self, node: Any) -> LayerCost:
        name = node.name or node.output[0]
        given = [value for value in map(self._source, node.input) if value is not None]
        made = self._values[node.output[0]]
        weights = [value for value in given if value.constant and value.shape]
        return LayerCost(
            name=name,
            block=block_of(name),
            op=node.op_type,
            computes_in=(weights[0] if weights and node.op_type in _PRODUCTS else made).dtype,
            flops=self._flops(node),
            bytes_read=sum(value.nbytes for value in given),
            bytes_written=self._written(node),
            shapes=tuple(self._values[key].shape for key in (*node.input, node.output[0]) if key),
        )

    def _swallowed(self, host: LayerCost, node: Any, joined: str) -> LayerCost:
        """Return the layer with `node` in it, which reads its constants or second input too."""
        others = [self._source(name) for name in node.input if name != joined]
        return replace(
            host,
            bytes_read=host.bytes_read + sum(value.nbytes for value in others if value),
            bytes_written=self._written(node),
            fused=(*host.fused, node.op_type),
        )

    def _written(self, node: Any) -> int:
        return sum(self._values[name].nbytes for name in node.output if name)

    def _source(self, name: str) -> Value | None:
        """Return the tensor that is read where a node reads `name`; None of an input left out."""
        while name in self._alias:
            name = self._alias[name]
        return self._values.get(name)

    def _flops(self, node: Any) -> int:
        if node.op_type not in _PRODUCTS:
            return 0
        given, kernel = (self._values[name].shape for name in node.input[:2])
        made = self._values[node.output[0]].shape
        if node.op_type == "Conv":  # the kernel is [out, in / group, ...]
            return 2 * prod(made) * prod(kernel[1:])
        if node.op_type == "ConvTranspose":  # [in, out / group, ...], once for each input position
            return 2 * prod(given) * prod(kernel[1:])
        across = any(a.name == "transA" and a.i for a in node.attribute)
        return 2 * prod(made) * given[-2 if across else -1]
