"""The golden image: a small picture, and what the Keras model itself says of it.

It travels in the sidecar, from the ONNX file to every engine, so that each can be checked against
Keras on any machine, without TensorFlow and without data.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from unetrt.tensors import IMAGE_RANK

__all__ = ["Answer", "Golden", "Packed", "draw_grid"]

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


_NODES = 5
_MOST_NUMBERS = 1024
"""Of an answer that are kept: 4 KiB."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, thinned out: every step-th pixel, with all its channels.

    Attributes:
        rank: of the whole answer.
        step: it shares no factor with the width, so that all phases of a stride are met.
        values: float32 [kept pixels, channels].
    """

    rank: int
    step: int
    values: Packed

    @property
    def is_image(self) -> bool:
        """Whether it is [batch, height, width, channels]."""
        return self.rank == IMAGE_RANK

    @classmethod
    def thinned(cls, answer: NDArray[Any]) -> Self:
        """Keep what fits of an answer [1, height, width, channels], or of any other rank."""
        pixels = _pixels(answer).astype(np.float32)
        width = answer.shape[2] if answer.ndim == IMAGE_RANK else 1
        step = -(-len(pixels) // max(1, _MOST_NUMBERS // pixels.shape[1]))
        while math.gcd(step, width) > 1:
            step += 1
        return cls(answer.ndim, step, Packed.pack(pixels[::step]))

    def same_of(self, answer: NDArray[Any]) -> NDArray[Any]:
        """Return of another answer, channels last, the numbers that are kept of this one."""
        return _pixels(answer)[:: self.step]


@dataclass(frozen=True, slots=True)
class Golden:
    """A picture for each input and the model's answers.

    Attributes:
        height, width: of the pictures.
        scale: what their pixels, 0 to 255, are multiplied by before they go in.
        grids: by input, uint8 [rows, columns, channels]; the picture is drawn between its nodes.
        answers: by output of the Keras model, in order.
    """

    height: int
    width: int
    scale: float
    grids: Mapping[str, Packed]
    answers: Mapping[str, Answer]

    def picture(self, name: str) -> NDArray[np.uint8]:
        """Return the picture of an input, uint8 [1, height, width, channels]."""
        return _drawn(self.grids[name].array, self.height, self.width)[np.newaxis]

    def feed(self, name: str, dtype: str) -> NDArray[Any]:
        """Return the picture as the input of that name and type takes it, channels last."""
        picture = self.picture(name)
        scaled = picture if self.scale == 1 else picture * np.float32(self.scale)
        return scaled.astype(dtype)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "height": self.height,
            "width": self.width,
            "scale": self.scale,
            "grids": {name: grid.to_json() for name, grid in self.grids.items()},
            "answers": {
                name: {"rank": a.rank, "step": a.step, "values": a.values.to_json()}
                for name, a in self.answers.items()
            },
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is not that.
        """
        made = cls(
            int(fields["height"]),
            int(fields["width"]),
            float(fields["scale"]),
            {name: Packed.from_json(grid) for name, grid in fields["grids"].items()},
            {
                name: Answer(int(a["rank"]), int(a["step"]), Packed.from_json(a["values"]))
                for name, a in fields["answers"].items()
            },
        )
        ranks = [len(grid.shape) for grid in made.grids.values()]
        steps = [answer.step for answer in made.answers.values()]
        if min(made.height, made.width, *steps) < 1 or set(ranks) != {3}:
            raise ValueError("a golden image without pixels")
        return made


def draw_grid(channels: int, seed: int) -> Packed:
    """Return the nodes of a smooth picture, uint8 [5, 5, channels]."""
    nodes = np.random.default_rng(seed).integers(0, 256, (_NODES, _NODES, channels), np.uint8)
    return Packed.pack(nodes)


def _drawn(grid: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Interpolate between the nodes in whole numbers, which are the same on every machine."""
    rows, down = _places(grid.shape[0], height)
    columns, across = _places(grid.shape[1], width)
    nodes = grid.astype(np.int64)
    down, across = down[:, np.newaxis, np.newaxis], across[np.newaxis, :, np.newaxis]
    at = nodes[rows] * (256 - down) + nodes[rows + 1] * down
    drawn = at[:, columns] * (256 - across) + at[:, columns + 1] * across
    return np.asarray((drawn + (1 << 15)) // (1 << 16), np.uint8)


def _places(nodes: int, side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the node before each pixel, and how far behind it the pixel is, of 256."""
    places = np.arange(side) * (nodes - 1) * 256 // max(1, side - 1)
    before = np.minimum(places // 256, nodes - 2)
    return before, places - before * 256


def _pixels(answer: NDArray[Any]) -> NDArray[Any]:
    """Return the first of the batch as [pixels, channels]."""
    channels = answer.shape[3] if answer.ndim == IMAGE_RANK else 1
    return np.reshape(answer[0], (-1, channels))
