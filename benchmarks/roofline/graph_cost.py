"""What the layers of a network cost at least, read off its graph: operations and bytes.

The model. A layer reads its inputs and weights once, each from memory, and writes its output once.
Pointwise operations (Relu, BatchNormalization, an added constant, ...) cost nothing where they
follow a convolution, a matrix product or each other and nothing else reads what they read, nor a
change of type wherever it follows alone: engines compute them on the way out. Reshapes, and
transposes that only move axes of length 1, move nothing. A DequantizeLinear is part of what reads
it, which then reads int8. All else (pooling, Concat, Resize, Softmax, Transpose) moves its inputs
and outputs. An engine can do better than that: write the inputs of a Concat into its place, or
keep a small tensor in its cache from one layer to the next.

Only convolutions and matrix products have operations: 2 for each multiplication and addition. What
is done beside them, on a GPU by other units, never takes as long as the bytes they move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

from unetrt.artifacts import OnnxModel

from .graph_shapes import Value, shaped_graph

__all__ = ["LayerCost", "NetworkCost", "block_of", "graph_cost", "node_cost"]

_PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

_POINTWISE = {
    "Abs", "Add", "BatchNormalization", "Cast", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu",
    "HardSigmoid", "HardSwish", "LeakyRelu", "Mul", "Neg", "PRelu", "QuantizeLinear", "Relu",
    "Sigmoid", "Softplus", "Sub", "Tanh",
}  # fmt: skip

_RETYPES = {"Cast", "QuantizeLinear"}
"""What any layer can do with its output."""

_ASKS_SIZES = {"Shape", "Size"}

_MOVES_NOTHING = {"DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True, slots=True)
class LayerCost:
    """A node with what is fused into it.

    Attributes:
        name: of its first node, or of its output: the Keras layer's, where the graph has its names.
        block: the Keras block that it stands in, see `block_of`.
        op: ONNX's name of the first node's kind.
        computes_in: NumPy's name of the type of its weights, else of its output: "float16".
        flops: operations; a multiply-add counts twice. 0 but for products.
        bytes_read, bytes_written: as the module says; weights are read.
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
        """Bytes read and written."""
        return self.bytes_read + self.bytes_written


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """The layers of a network at one size, in the graph's order."""

    precision: str
    batch: int
    height: int
    width: int
    channels: int
    layers: tuple[LayerCost, ...]

    @property
    def flops(self) -> int:
        """Operations of one run."""
        return sum(layer.flops for layer in self.layers)

    @property
    def nbytes(self) -> int:
        """Bytes that all layers move, one by one."""
        return sum(layer.nbytes for layer in self.layers)

    @property
    def blocks(self) -> dict[str, tuple[LayerCost, ...]]:
        """The layers of each Keras block, in the graph's order."""
        found: dict[str, tuple[LayerCost, ...]] = {}
        for layer in self.layers:
            found[layer.block] = (*found.get(layer.block, ()), layer)
        return found


def block_of(name: str) -> str:
    """Return the Keras block of a layer by its name: `down2` of `down2/conv1`."""
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
    channels = image[1 if model.layout == "NCHW" else -1]
    return NetworkCost(model.precision, batch, height, width, channels, layers)


def node_cost(node: Any, values: dict[str, Value]) -> LayerCost:
    """Count what a node of a shaped graph costs on its own, nothing fused into it."""
    (layer,) = _Reader([node], set(node.output), dict(values)).layers()
    return layer


class _Reader:
    """Walks a graph once; each node becomes a layer, part of one, or nothing."""

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
        """Take what a node of constants makes for one: it is computed when the network is built."""
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
        """Whether the layer that makes `name` can compute `node` on the way out."""
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
        """Return what is read where a node reads `name`; None of an input left out."""
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
