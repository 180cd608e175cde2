"""Bring images into a network and its output back, whatever types and layout it has there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import ShapeError
from unetrt.tensors import IMAGE_RANK

__all__ = ["ImagePort", "ImageSource", "mirrored_window"]

_HALF = 0.5


class ImagePort:
    """The one image input of an artifact and the output that answers it.

    The answer is the label map if there is one, else the first output that is an image; the other
    way round with `prefer` "probabilities".

    Raises:
        ShapeError: the artifact takes something else than one image, or answers with none.
    """

    def __init__(self, artifact: OnnxModel | Engine, prefer: str = "labels") -> None:
        images = [tensor for tensor in artifact.inputs if tensor.is_image]
        labels = [t for t in artifact.outputs if t.dtype == "uint8"]
        maps = [t for t in artifact.outputs if t.is_image]
        answers = labels + maps if prefer == "labels" else maps + labels
        if len(artifact.inputs) != 1 or not images or not answers:
            raise ShapeError(
                f"{artifact.path} does not map one image to its classes",
                got=f"inputs {', '.join(map(str, artifact.inputs))} and outputs "
                f"{', '.join(map(str, artifact.outputs))}",
                expected="one image in, probabilities or labels out",
                hint="give Session.run its inputs by name",
            )
        self.input, self.output = images[0], answers[0]

    @property
    def gives_labels(self) -> bool:
        """Whether the answer is a label map, not probabilities."""
        return self.output.dtype == "uint8"

    @property
    def channels(self) -> int | str:
        """How many channels the image has."""
        return self.input.channels

    @property
    def n_classes(self) -> int | str | None:
        """How many channels of probabilities come out; None where labels do."""
        return None if self.gives_labels else self.output.channels

    def feed(self, x_nhwc: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return pixels [batch, height, width, channels] as `Session.run` takes them.

        Raises:
            ShapeError: pixels that the input's integer type cannot hold.
        """
        x = x_nhwc
        if x.dtype != self.input.dtype:
            x = x_nhwc.astype(self.input.dtype)
            if self.input.dtype != "float32" and not np.array_equal(x, x_nhwc):
                raise ShapeError(
                    f"The input {self.input.name!r} cannot hold these pixels",
                    got=f"{x_nhwc.dtype} between {x_nhwc.min():g} and {x_nhwc.max():g}",
                    expected=f"whole numbers that fit {self.input.dtype}",
                )
        return {self.input.name: self.input.from_nhwc(x)}

    def answer(self, outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return labels uint8 [batch, height, width], or float32 probabilities, classes last."""
        y: NDArray[Any] = self.output.to_nhwc(outputs[self.output.name])
        return y

    @staticmethod
    def labels(answer: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the class of each pixel of an answer, uint8 [batch, height, width]."""
        if answer.ndim == IMAGE_RANK:
            one = answer.shape[-1] == 1  # a sigmoid's
            answer = answer[..., 0] > _HALF if one else answer.argmax(axis=-1)
        return np.asarray(answer, np.uint8)


class ImageSource(Protocol):
    """An image [height, width, channels] that gives slices: NumPy's, a memory map, Zarr's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width, channels."""

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[Any]:
        """Return a part of it, all channels."""


def mirrored_window(
    image: ImageSource, top: int, left: int, height: int, width: int
) -> NDArray[Any]:
    """Return [height, width, channels] from (top, left) on, which may lie outside of the image.

    The same pixels as of `unetrt.padding.mirrored_to_size`; only those needed are read.
    """
    rows, columns = (
        _mirrored(np.arange(begin, begin + count), side)
        for begin, count, side in zip((top, left), (height, width), image.shape[:2], strict=True)
    )
    first = rows.min(), columns.min()
    read = np.asarray(image[first[0] : rows.max() + 1, first[1] : columns.max() + 1])
    if read.shape[:2] == (height, width):
        ahead = (rows[0] <= rows[-1], columns[0] <= columns[-1])
        if ahead == (True, True):  # inside of the image: nothing to gather
            return read
    return read[np.ix_(rows - first[0], columns - first[1])]


def _mirrored(places: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Return the place inside of the image that stands for each place: ... 1 0 0 1 2 2 1 ..."""
    turned = places % (2 * side)
    return np.where(turned < side, turned, 2 * side - 1 - turned)
