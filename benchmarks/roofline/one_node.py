"""Write ONNX files of one node: a layer of a network on its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.onnx_weights import append_initializer
from unetrt.precision import Precision
from unetrt.tensors import LAYOUTS, TensorSpec

from .graph_cost import Value

__all__ = ["random_tensors", "write_node"]

_OPSET, _IR_VERSION = 17, 8


def write_node(node: Any, values: Mapping[str, Value], path: Path, *, seed: int = 0) -> OnnxModel:
    """Write a file with a copy of `node` and its shapes, all fixed; NCHW where it takes an image.

    Constants are drawn from `seed`: normal, of a deviation that keeps a product's values at the
    size of what it reads. Inputs and outputs keep their types, float16 too.

    Raises:
        OutputError: `path` cannot be written.
    """
    onnx = vendor.onnx()
    own = onnx.NodeProto()
    own.CopyFrom(node)
    names = [name for name in own.input if name]
    given = [name for name in names if not values[name].constant]

    def described(name: str) -> Any:
        value = values[name]
        number = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
        return onnx.helper.make_tensor_value_info(name, number, value.shape)

    graph = onnx.helper.make_graph(
        [own], "layer", [described(name) for name in given], [described(own.output[0])]
    )
    model = onnx.helper.make_model(
        graph,
        ir_version=_IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
    )
    random = np.random.default_rng(seed)

    def content(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(model.SerializeToString())
            for name in names:
                if values[name].constant:
                    drawn = _drawn(random, values[name], own.op_type)
                    number = onnx.helper.np_dtype_to_tensor_dtype(drawn.dtype)
                    append_initializer(file, name, number, drawn)

    specs = [
        TensorSpec(name, values[name].dtype, values[name].shape, LAYOUTS[1])
        for name in (*given, own.output[0])
    ]
    return OnnxModel.write(
        path,
        content,
        made_with={"layer": own.name, "seed": seed, "unetrt": vendor.version("unetrt")},
        inputs=tuple(specs[:-1]),
        outputs=tuple(specs[-1:]),
        precision=Precision.from_numpy(values[own.output[0]].dtype),
    )


def _drawn(random: np.random.Generator, value: Value, op: str) -> Any:
    shape = value.shape
    # A kernel is [out, in, ...], a transposed one [in, out, ...]; a bias gets a deviation of 1.
    fan_in = prod(shape) / shape[1 if op == "ConvTranspose" and len(shape) > 1 else 0]
    drawn = random.standard_normal(shape, np.float32) / np.float32(max(fan_in, 1) ** 0.5)
    return drawn.astype(value.dtype)


def random_tensors(tensors: Iterable[TensorSpec]) -> dict[str, NDArray[Any]]:
    """Return normal values by name: zeros multiply faster than what networks multiply."""
    random = np.random.default_rng(0)
    return {
        tensor.name: random.standard_normal([int(n) for n in tensor.shape], np.float32).astype(
            tensor.dtype
        )
        for tensor in tensors
    }
