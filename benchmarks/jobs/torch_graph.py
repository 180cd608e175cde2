"""An ONNX graph as a PyTorch module: plain layers, called in a row, in one generated `forward`.

Only what the U-Nets of this project are made of; anything else is named and refused. Tensors keep
ONNX's order of axes; a convolution that reads a transposed NHWC image reads channels-last memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from unetrt.errors import UnsupportedModel

from .torch_operators import OPERATORS, tensor_of

__all__ = ["GraphBuilder", "to_module"]


class GraphBuilder:
    """Grows an fx graph node by node.

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
