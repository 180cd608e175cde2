"""Write an ONNX file without copying its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

__all__ = ["save_streaming"]

_LEAST_BYTES = 1024
_WHOLE_BYTES = {
    ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.INT8,
    ir.DataType.UINT8, ir.DataType.INT32, ir.DataType.INT64,
}  # fmt: skip
"""Types whose arrays lie in memory as they do in the file; four-bit ones do not."""

# A field's number and the wire type of what has a length: protobuf.dev, "Encoding".
_GRAPH_OF_MODEL = (7 << 3 | 2).to_bytes(1)
_INITIALIZER_OF_GRAPH = (5 << 3 | 2).to_bytes(1)
_RAW_DATA_OF_TENSOR = (9 << 3 | 2).to_bytes(1)


def save_streaming(model: ir.Model, path: Path) -> None:
    """Write `model` to `path`; `model` stays as it was.

    `onnx_ir.save` copies every weight into a protobuf message and all of them again into one
    string: half the time of a conversion, and twice the weights' memory. Here the message holds
    the small ones only, and for each other one the file goes on with a second `graph` field that
    holds nothing but that initialiser. Protobuf merges such fields as it reads them (protobuf.dev,
    "Last One Wins"): for any reader it is the same ONNX file.

    Raises:
        OSError: the file cannot be written.
    """
    with _apart(model) as weights:
        message = ir.to_proto(model)
    others = [tensor for tensor in message.graph.initializer if tensor.name not in weights]
    del message.graph.initializer[:]
    message.graph.initializer.extend(others)
    with path.open("wb") as file:
        file.write(message.SerializeToString())
        for name, tensor in weights.items():
            array = np.ascontiguousarray(tensor.numpy())
            head = onnx.TensorProto(name=name, data_type=int(tensor.dtype), dims=array.shape)
            begun = head.SerializeToString() + _RAW_DATA_OF_TENSOR + _varint(array.nbytes)
            size = len(begun) + array.nbytes
            initializer = _INITIALIZER_OF_GRAPH + _varint(size)
            file.write(_GRAPH_OF_MODEL + _varint(len(initializer) + size) + initializer + begun)
            file.write(array.view(np.uint8).data)


@contextmanager
def _apart(model: ir.Model) -> Iterator[dict[str, ir.TensorProtocol]]:
    """Put empty weights in place of the large ones, and those back in the end."""
    weights = {
        name: value.const_value
        for name, value in model.graph.initializers.items()
        if value.const_value.nbytes >= _LEAST_BYTES and value.const_value.dtype in _WHOLE_BYTES
    }
    try:
        for name, tensor in weights.items():
            empty = np.empty(0, tensor.dtype.numpy())
            model.graph.initializers[name].const_value = ir.tensor(empty, name=name)
        yield weights
    finally:
        for name, tensor in weights.items():
            model.graph.initializers[name].const_value = tensor


def _varint(number: int) -> bytes:
    """Return `number` in groups of seven bits, the lowest first, each but the last marked."""
    groups = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
