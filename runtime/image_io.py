"""Bring images into a network and its output back, whatever types and layout it has there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import ShapeError
from unetrt.normalization import ImageSource
from unetrt.tensors import IMAGE_RANK

__all__ = ["ImagePort", "ImageSource", "mirrored_window"]

_HALF = 0.5


class ImagePort:
    """Feed images to the one image input of an artifact, and read its prediction.

    The prediction is the label map if there is one, else the first output that is an image; the
    other way round with `prefer` "probabilities".

    Raises:
        ShapeError: the artifact takes something else than one image, or puts none out.
    """

    def __init__(self, artifact: OnnxModel | Engine, prefer: str = "labels") -> None:
        images = [tensor for tensor in artifact.inputs if tensor.is_image]
        labels = [t for t in artifact.outputs if t.dtype == "uint8"]
        maps = [t for t in artifact.outputs if t.is_image]
        predictions = labels + maps if prefer == "labels" else maps + labels
        if len(artifact.inputs) != 1 or not images or not predictions:
            raise ShapeError(
                f"{artifact.path} does not map one image to its classes",
                got=f"inputs {', '.join(map(str, artifact.inputs))} and outputs "
                f"{', '.join(map(str, artifact.outputs))}",
                expected="one image in, probabilities or labels out",
                hint="give Session.run its inputs by name",
            )
        self.input, self.output = images[0], predictions[0]

    @property
    def gives_labels(self) -> bool:
        """Return True where the prediction is a label map, not probabilities."""
        return self.output.dtype == "uint8"

    @property
    def channels(self) -> int | str:
        """Return the number of channels of the image, or the name of a free axis."""
        return self.input.channels

    @property
    def n_classes(self) -> int | str | None:
        """Return the number of channels of the probabilities; None where labels come out."""
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

    def prediction(self, outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return labels uint8 [batch, height, width], or float32 probabilities, classes last."""
        y: NDArray[Any] = self.output.to_nhwc(outputs[self.output.name])
        return y

    @staticmethod
    def labels(prediction: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the class of each pixel of a prediction, uint8 [batch, height, width]."""
        if prediction.ndim == IMAGE_RANK:
            sigmoid = prediction.shape[-1] == 1
            prediction = prediction[..., 0] > _HALF if sigmoid else prediction.argmax(axis=-1)
        return np.asarray(prediction, np.uint8)


def mirrored_window(
    image: ImageSource, top: int, left: int, height: int, width: int
) -> NDArray[Any]:
    """Return [height, width, channels] from (top, left) on, which may lie outside of the image.

    The same pixels as of `unetrt.sizes.mirrored_to_size`; only those needed are read.

    >>> image = np.arange(4).reshape(2, 2, 1)
    >>> mirrored_window(image, -1, 0, 2, 3)[..., 0].tolist()
    [[0, 1, 1], [0, 1, 1]]
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
