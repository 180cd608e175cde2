"""Name nodes, values and weights after the Keras layers they come from."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from .nodes import unused

__all__ = ["NameByLayer"]

_MAIN = {"Conv", "ConvTranspose", "Gemm", "MatMul", "MaxPool", "AveragePool", "Concat", "Softmax"}
_INPUT_NAMES = {("Conv", 1): "kernel", ("Conv", 2): "bias"} | {
    ("ConvTranspose", 1): "kernel",
    ("ConvTranspose", 2): "bias",
}


class NameByLayer(ir.passes.InPlacePass):  # type: ignore[misc]
    """Call `layer3x_1/convolution` by its layer, `down1/conv1`, its weights `down1/conv1/kernel`.

    A layer's main node has the layer's name; its other nodes are `layer/op`. Node names
    reappear in engines, profiles and reports, where a reader looks for the layer.

    Args:
        owner: gives the name of the layer that a traced node's name belongs to; a node of none is
            named after the layer whose result it reads.

    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[1,2,4,4] x) => (float[1,2,4,4] y)
    ...     <float[2,2,1,1] w = {1, 0, 0, 1}> {
    ...         c = Conv (x, w)
    ...         y = Relu (c) }''')
    >>> for number, node in enumerate(model.graph):
    ...     node.name = f"layer{number}x/op"
    >>> NameByLayer({"layer0x/op": "conv1", "layer1x/op": "act"}.get)(model).modified
    True
    >>> [node.name for node in model.graph], list(model.graph.initializers)
    (['conv1', 'act/relu'], ['conv1/kernel'])
    """

    def __init__(self, owner: Callable[[str], str | None]) -> None:
        super().__init__()
        self._owner = owner

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        taken: set[str] = {value.name for value in (*graph.inputs, *graph.outputs)}
        taken |= {value.name for value in graph.initializers.values() if len(value.uses()) > 1}
        node_names: set[str] = set()
        layers = {value: value.name for value in graph.inputs}
        for node in graph:
            read = next((layers[value] for value in node.inputs if value in layers), graph.name)
            layer = self._owner(node.name or "") or read
            layers.update(dict.fromkeys(node.outputs, layer))
            wanted = layer if node.op_type in _MAIN else f"{layer}/{node.op_type.lower()}"
            node.name = _take(wanted, node_names)
            for index, value in enumerate(node.inputs):
                if value is not None and value.is_initializer() and len(value.uses()) == 1:
                    part = _INPUT_NAMES.get((node.op_type, index), f"constant{index}")
                    value.name = _take(f"{node.name}/{part}", taken)
            for value in node.outputs:
                if not value.is_graph_output():
                    value.name = _take(node.name, taken)
        return ir.passes.PassResult(model, modified=True)


def _take(wanted: str, taken: set[str]) -> str:
    name = unused(wanted, taken)
    taken.add(name)
    return name
