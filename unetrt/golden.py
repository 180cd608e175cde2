"""Hold a golden sample: small images, and what the Keras model itself predicts for them.

It travels in the sidecar, from the ONNX file to every engine, so that each can be compared with
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

__all__ = ["GoldenOutput", "GoldenSample", "PackedArray", "draw_grid"]

_TYPES = ("uint8", "float32")
_MOST_BYTES = 1 << 20
"""A sidecar from elsewhere is untrusted, and a kilobyte of zlib can hold a megabyte of zeros."""


@dataclass(frozen=True, slots=True)
class PackedArray:
    """Hold an array as text: its type, its shape, and its little-endian bytes in zlib and base64.

    >>> packed = PackedArray.pack(np.arange(6, dtype=np.uint8).reshape(2, 3))
    >>> packed.dtype, packed.shape, packed.array.sum()
    ('uint8', (2, 3), np.uint64(15))
    """

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
        """Return the array.

        Raises:
            ValueError: the text holds no such array.
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
"""Kept of an output: 4 KiB."""


@dataclass(frozen=True, slots=True)
class GoldenOutput:
    """Keep some pixels of an output of the Keras model: every step-th, with all its channels.

    >>> output = GoldenOutput.sample(np.zeros((1, 64, 64, 2), np.float32))
    >>> output.step, output.values.shape
    (9, (456, 2))

    Attributes:
        rank: of the whole output.
        step: it shares no factor with the width, so that all phases of a stride are met.
        values: float32 [kept pixels, channels].
    """

    rank: int
    step: int
    values: PackedArray

    @property
    def is_image(self) -> bool:
        """Return whether it is [batch, height, width, channels]."""
        return self.rank == IMAGE_RANK

    @classmethod
    def sample(cls, output: NDArray[Any]) -> Self:
        """Keep what fits of an output [1, height, width, channels], or of any other rank."""
        pixels = _pixels(output).astype(np.float32)
        width = output.shape[2] if output.ndim == IMAGE_RANK else 1
        step = -(-len(pixels) // max(1, _MOST_NUMBERS // pixels.shape[1]))
        while math.gcd(step, width) > 1:
            step += 1
        return cls(output.ndim, step, PackedArray.pack(pixels[::step]))

    def same_pixels(self, output: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of another output, channels last, that are kept of this one."""
        return _pixels(output)[:: self.step]


@dataclass(frozen=True, slots=True)
class GoldenSample:
    """Hold an image for each input of a network, and the outputs of the Keras model.

    >>> sample = GoldenSample(16, 24, 1.0, {"image": draw_grid(channels=3, seed=0)}, {})
    >>> sample.image("image").shape, sample.feed("image", "float32").dtype
    ((1, 16, 24, 3), dtype('float32'))

    Attributes:
        height, width: of the images, in pixels.
        scale: what their pixels, 0 to 255, are multiplied by before they go in.
        grids: by input, uint8 [rows, columns, channels]; the image is drawn between its nodes.
        outputs: by the name of the Keras model's output, in order.
    """

    height: int
    width: int
    scale: float
    grids: Mapping[str, PackedArray]
    outputs: Mapping[str, GoldenOutput]

    def image(self, name: str) -> NDArray[np.uint8]:
        """Return the image of an input, uint8 [1, height, width, channels]."""
        return _drawn(self.grids[name].array, self.height, self.width)[np.newaxis]

    def feed(self, name: str, dtype: str) -> NDArray[Any]:
        """Return the image as the input of that name and type takes it, channels last."""
        image = self.image(name)
        scaled = image if self.scale == 1 else image * np.float32(self.scale)
        return scaled.astype(dtype)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "height": self.height,
            "width": self.width,
            "scale": self.scale,
            "grids": {name: grid.to_json() for name, grid in self.grids.items()},
            "outputs": {
                name: {"rank": y.rank, "step": y.step, "values": y.values.to_json()}
                for name, y in self.outputs.items()
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
            {name: PackedArray.from_json(grid) for name, grid in fields["grids"].items()},
            {
                name: GoldenOutput(
                    int(y["rank"]), int(y["step"]), PackedArray.from_json(y["values"])
                )
                for name, y in fields["outputs"].items()
            },
        )
        ranks = [len(grid.shape) for grid in made.grids.values()]
        steps = [output.step for output in made.outputs.values()]
        if min(made.height, made.width, *steps) < 1 or set(ranks) != {3}:
            raise ValueError("a golden sample without pixels")
        return made


def draw_grid(channels: int, seed: int) -> PackedArray:
    """Draw the nodes of a smooth image, uint8 [5, 5, channels].

    Args:
        channels: of the image.
        seed: of the random numbers.

    >>> draw_grid(channels=3, seed=0).shape
    (5, 5, 3)
    """
    nodes = np.random.default_rng(seed).integers(0, 256, (_NODES, _NODES, channels), np.uint8)
    return PackedArray.pack(nodes)


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
    """Return the node before each pixel, and the distance of the pixel behind it, of 256."""
    places = np.arange(side) * (nodes - 1) * 256 // max(1, side - 1)
    before = np.minimum(places // 256, nodes - 2)
    return before, places - before * 256


def _pixels(output: NDArray[Any]) -> NDArray[Any]:
    """Return the first of the batch as [pixels, channels]."""
    channels = output.shape[3] if output.ndim == IMAGE_RANK else 1
    return np.reshape(output[0], (-1, channels))
