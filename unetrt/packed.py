"""A small array as text, for a sidecar."""

from __future__ import annotations

import base64
import math
import zlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Packed"]

_TYPES = ("uint8", "float32")
_MOST_BYTES = 1 << 20
"""A sidecar from elsewhere is untrusted, and a kilobyte of zlib can hold a megabyte of zeros."""


@dataclass(frozen=True, slots=True)
class Packed:
    """An array's type, its shape, and its little-endian bytes in zlib and base64."""

    dtype: str
    shape: tuple[int, ...]
    data: str

    @classmethod
    def pack(cls, array: NDArray[Any]) -> Self:
        """Pack an array of uint8 or float32."""
        content = array.astype(array.dtype.newbyteorder("<")).tobytes()
        return cls(array.dtype.name, array.shape, base64.b64encode(zlib.compress(content)).decode())

    @property
    def array(self) -> NDArray[Any]:
        """The array.

        Raises:
            ValueError: the text does not hold it.
        """
        count = math.prod(self.shape)
        nbytes = count * np.dtype(self.dtype).itemsize
        if self.dtype not in _TYPES or min(self.shape, default=0) < 0 or nbytes > _MOST_BYTES:
            raise ValueError(f"a packed array {self.dtype}{list(self.shape)}")
        reader = zlib.decompressobj()
        try:
            content = reader.decompress(base64.b64decode(self.data, validate=True), nbytes + 1)
        except zlib.error as error:
            raise ValueError("a packed array that zlib cannot read") from error
        if len(content) != nbytes:
            raise ValueError(f"{len(content)} bytes for {self.dtype}{list(self.shape)}")
        order = np.dtype(self.dtype).newbyteorder("<")
        return np.frombuffer(content, order).reshape(self.shape).astype(self.dtype)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {"dtype": self.dtype, "shape": list(self.shape), "data": self.data}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it holds no array.
        """
        packed = cls(str(fields["dtype"]), tuple(map(int, fields["shape"])), str(fields["data"]))
        _ = packed.array
        return packed
