"""ONNX written to disk without a copy of its weights in memory."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from unetrt.onnx_weights import append_initializer

__all__ = ["save"]

_LARGE = 1024
"""Bytes from which a tensor is written on its own."""


def save(model: ir.Model, path: Path) -> None:
    """Write `model` to `path`; the file is ordinary ONNX.

    `onnx_ir.save` holds all weights twice more, as protobuf and as its bytes: half of the time of
    an export. Here the graph comes first and each large weight after it, see
    unetrt/protobuf_parts.py.
    """
    initializers = model.graph.initializers
    large = {
        name: value
        for name, value in initializers.items()
        if value.const_value.nbytes > _LARGE and value.const_value.dtype.bitwidth % 8 == 0
    }
    for name in large:
        del initializers[name]
    try:
        head = ir.to_proto(model).SerializeToString()
    finally:
        initializers.update(large)
    with path.open("wb") as file:
        file.write(head)
        for name, value in large.items():
            tensor = value.const_value
            append_initializer(file, name, int(tensor.dtype), tensor.numpy())
