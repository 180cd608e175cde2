"""Write ONNX weights to a file straight from their arrays, one protobuf part each.

Protobuf merges a message that comes in several parts. So a file may hold a model without its
weights first, and after it each weight as one more part with one initialiser: nothing is held in
memory twice, as protobuf and as its bytes.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unetrt import vendor

__all__ = ["append_initializer"]

# The tags of fields 7 of ModelProto (graph), 5 of GraphProto (initializer) and 9 of TensorProto
# (raw_data), each with a length before its bytes: onnx.proto.
_GRAPH, _INITIALIZER, _RAW_DATA = b"\x3a", b"\x2a", b"\x4a"


def append_initializer(file: BinaryIO, name: str, data_type: int, array: NDArray[Any]) -> None:
    """Add an initialiser to the serialised model that `file` holds so far.

    Args:
        file: open for writing, at its end.
        name: of the initialiser.
        data_type: ONNX's number of the array's type.
        array: its values, of any shape.

    >>> import io
    >>> import onnx
    >>> file = io.BytesIO()
    >>> append_initializer(file, "w", onnx.TensorProto.FLOAT, np.ones((2, 3), np.float32))
    >>> [weight] = onnx.load_model_from_string(file.getvalue()).graph.initializer
    >>> weight.name, list(weight.dims)
    ('w', [2, 3])
    """
    contiguous = np.ascontiguousarray(array).reshape(array.shape)  # a scalar would become a vector
    little = contiguous.astype(array.dtype.newbyteorder("<"), copy=False)
    content = little.reshape(-1).view(np.uint8)
    described = (
        vendor.onnx()
        .TensorProto(name=name, data_type=data_type, dims=list(array.shape))
        .SerializeToString()
    )
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
