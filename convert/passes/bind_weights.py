"""Turn the inputs that stood for weights while tracing into initialisers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["BindWeights"]


class BindWeights(ir.passes.InPlacePass):  # type: ignore[misc]
    """Bind arrays to graph inputs by name.

    Tracing with the weights as inputs spares the exporter from copying them between protobufs,
    which is where most of the time of `keras.Model.export(format="onnx")` goes.

    >>> import numpy as np
    >>> import onnx_ir as ir
    >>> model = ir.from_onnx_text('''<ir_version: 8, opset_import: ["" : 17]>
    ...     g (float[3] x, float[3] weight) => (float[3] y) { y = Add(x, weight) }''')
    >>> BindWeights({"weight": np.zeros(3, np.float32)})(model).modified
    True
    >>> [value.name for value in model.graph.inputs], list(model.graph.initializers)
    (['x'], ['weight'])
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        self._weights = weights

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        bound = [value for value in graph.inputs if value.name in self._weights]
        for value in bound:
            graph.inputs.remove(value)
            value.const_value = ir.tensor(self._weights[value.name], name=value.name)
            graph.register_initializer(value)
        return ir.passes.PassResult(model, modified=bool(bound))
