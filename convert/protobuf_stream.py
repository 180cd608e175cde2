"""ONNX written to disk without a copy of its weights in memory."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
import onnx_ir as ir

__all__ = ["save"]

_LARGE = 1024
"""Bytes from which a tensor is written on its own."""

# The tags of fields 7 of ModelProto (graph), 5 of GraphProto (initializer) and 9 of TensorProto
# (raw_data), each with a length before its bytes: onnx.proto.
_GRAPH, _INITIALIZER, _RAW_DATA = b"\x3a", b"\x2a", b"\x4a"


def save(model: ir.Model, path: Path) -> None:
    """Write `model` to `path`; the file is ordinary ONNX.

    `onnx_ir.save` holds all weights twice more, as protobuf and as its bytes: half of the time of
    an export. Protobuf merges a message that comes in several parts, so here the graph comes
    first and each large weight after it, as one more part with one initialiser, straight from its
    array.
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
            _append(file, name, value.const_value)


def _append(file: BinaryIO, name: str, tensor: ir.TensorProtocol) -> None:
    array = np.ascontiguousarray(tensor.numpy())
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    content = little.reshape(-1).view(np.uint8)
    described = onnx.TensorProto(
        name=name, data_type=int(tensor.dtype), dims=list(tensor.shape)
    ).SerializeToString()
    described += _RAW_DATA + _varint(content.nbytes)
    size = len(described) + content.nbytes
    field = _INITIALIZER + _varint(size)
    file.write(_GRAPH + _varint(len(field) + size) + field + described)
    file.write(content.data)


def _varint(number: int) -> bytes:
    """Return a number as protobuf writes it: seven bits a byte, the last one without the eighth."""
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
