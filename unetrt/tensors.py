"""Describe what goes into a network and comes out: names, types, shapes, and the axes of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from unetrt.errors import BadInput, ShapeError

__all__ = [
    "IMAGE_RANK",
    "LAYOUTS",
    "TO_NCHW",
    "TO_NHWC",
    "ShapeProfile",
    "ShapeRange",
    "TensorSpec",
]

LAYOUTS = ("NHWC", "NCHW")
"""The orders of an image's axes: N is the batch, H the height, W the width, C the channels."""

IMAGE_RANK = 4
"""Axes of a batch of images: batch, height, width, channels."""

TO_NCHW = (0, 3, 1, 2)
"""The permutation from [batch, height, width, channels]."""

TO_NHWC = (0, 2, 3, 1)
"""The permutation back."""

_AXIS_NAMES = {"N": "batch", "H": "height", "W": "width", "C": "channels"}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Describe a tensor: its name, type, shape, and which of its axes are an image's.

    >>> image = TensorSpec("image", "uint8", ("batch", "height", 640, 3))
    >>> image.is_image, image.sides(), image.channels
    (True, ('height', 640), 3)
    >>> print(image.with_sides(480, 640))
    uint8[batch, 480, 640, 3]

    Attributes:
        name: of the tensor in the network.
        dtype: NumPy's name of its type.
        shape: sizes; a free axis is its name, such as "batch".
        layout: "NHWC" or "NCHW" of an image, "" of anything else. A tensor of another rank than
            four is none, whatever is given.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    layout: str = LAYOUTS[0]

    def __post_init__(self) -> None:
        if self.layout not in {"", *LAYOUTS}:
            raise BadInput(
                f"The tensor {self.name!r} has a layout that is none",
                got=repr(self.layout),
                expected=" or ".join(LAYOUTS),
            )
        if len(self.shape) != IMAGE_RANK:
            object.__setattr__(self, "layout", "")

    @classmethod
    def from_partial(
        cls, name: str, dtype: str, shape: Sequence[int | None], layout: str = LAYOUTS[0]
    ) -> TensorSpec:
        """Describe a tensor whose free axes are None, as Keras and TensorFlow write them.

        >>> print(TensorSpec.from_partial("x", "float32", (None, None, None, 1)))
        float32[batch, height, width, 1]
        """
        if len(shape) == IMAGE_RANK and layout:
            names = [_AXIS_NAMES[letter] for letter in layout]
        else:
            names = ["batch", *(f"axis{axis}" for axis in range(1, len(shape)))][: len(shape)]
        sizes = (own if size is None else size for own, size in zip(names, shape, strict=True))
        return cls(name, dtype, tuple(sizes), layout)

    @property
    def partial_shape(self) -> tuple[int | None, ...]:
        """Return the shape with None for free axes, as Keras and TensorFlow write it."""
        return tuple(None if isinstance(size, str) else size for size in self.shape)

    @property
    def is_image(self) -> bool:
        """Return whether it is a batch of images, or of maps of their size."""
        return bool(self.layout)

    @property
    def height_axis(self) -> int:
        """Return the axis of an image's height.

        Raises:
            ShapeError: it is no image.
        """
        return self._axis("H")

    @property
    def width_axis(self) -> int:
        """Return the axis of an image's width.

        Raises:
            ShapeError: it is no image.
        """
        return self._axis("W")

    @property
    def channel_axis(self) -> int:
        """Return the axis of an image's channels.

        Raises:
            ShapeError: it is no image.
        """
        return self._axis("C")

    @property
    def channels(self) -> int | str:
        """Return how many channels an image has; the axis' name where that is free.

        Raises:
            ShapeError: it is no image.
        """
        return self.shape[self.channel_axis]

    def sides(self, shape: Sequence[Any] | None = None) -> tuple[Any, Any]:
        """Return height and width: in a shape that the tensor may have, else its own.

        Raises:
            ShapeError: it is no image.
        """
        sizes = self.shape if shape is None else shape
        return sizes[self.height_axis], sizes[self.width_axis]

    def with_sides(self, height: int | str, width: int | str) -> TensorSpec:
        """Return the tensor with another height and width; itself where it is no image."""
        if not self.is_image:
            return self
        sizes = {self.height_axis: height, self.width_axis: width}
        return replace(self, shape=tuple(sizes.get(k, own) for k, own in enumerate(self.shape)))

    def fixed_shape(self, batch: int = 1) -> tuple[int, ...] | None:
        """Return the shape, of that batch if it is free; None where another axis is free.

        >>> image = TensorSpec("image", "uint8", ("batch", "height", "width", 3))
        >>> image.fixed_shape(), image.with_sides(64, 32).fixed_shape(batch=4)
        (None, (4, 64, 32, 3))
        """
        first = (batch if isinstance(size, str) else size for size in self.shape[:1])
        sizes = [size for size in (*first, *self.shape[1:]) if isinstance(size, int)]
        return tuple(sizes) if len(sizes) == len(self.shape) else None

    def to_nhwc(self, array: Any) -> Any:
        """Return an array that is this tensor with channels last; as it is where it is no image.

        Args:
            array: NumPy's, or any with `transpose(*axes)`; a view of it is returned.
        """
        return array.transpose(*TO_NHWC) if self.layout == LAYOUTS[1] else array

    def from_nhwc(self, array: Any) -> Any:
        """Return an array with channels last as this tensor; as it is where that is no image.

        Args:
            array: NumPy's, or any with `transpose(*axes)`; a view of it is returned.
        """
        return array.transpose(*TO_NCHW) if self.layout == LAYOUTS[1] else array

    def check(self, shape: tuple[int, ...], dtype: str) -> None:
        """Raise ShapeError unless an array of `shape` and `dtype` can be this tensor."""
        fits = len(shape) == len(self.shape) and all(
            isinstance(own, str) or own == given
            for own, given in zip(self.shape, shape, strict=True)
        )
        if not fits or dtype != self.dtype:
            raise ShapeError(
                f"Tensor {self.name!r} does not fit",
                got=f"{dtype}{list(shape)}",
                expected=str(self),
            )

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "layout": self.layout,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> TensorSpec:
        """Read what `to_json` wrote."""
        return cls(fields["name"], fields["dtype"], tuple(fields["shape"]), fields["layout"])

    def _axis(self, letter: str) -> int:
        if not self.is_image:
            raise ShapeError(
                f"Tensor {self.name!r} is no image",
                got=str(self),
                expected="batch, height, width and channels",
            )
        return self.layout.index(letter)


class ShapeProfile(NamedTuple):
    """Hold the smallest, the usual and the largest shape of an input (TensorRT's profile).

    >>> profile = ShapeProfile((1, 64, 64, 3), (4, 256, 256, 3), (8, 512, 512, 3))
    >>> profile.opt
    (4, 256, 256, 3)
    """

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    def to_json(self) -> list[list[int]]:
        """Return plain lists."""
        return [list(shape) for shape in self]

    @classmethod
    def from_json(cls, shapes: Sequence[Sequence[int]]) -> ShapeProfile:
        """Read what `to_json` wrote.

        Raises:
            ValueError, TypeError: it is not three shapes of one rank.
        """
        least, usual, most = (tuple(map(int, shape)) for shape in shapes)
        if not len(least) == len(usual) == len(most):
            raise ValueError(f"a profile of {shapes}")
        return cls(least, usual, most)


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """Hold the smallest, the usual and the largest size of a free axis.

    >>> sizes = ShapeRange.parse("1:4:16")
    >>> 8 in sizes, 32 in sizes
    (True, False)
    """

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max:
            raise BadInput(
                "A size range is out of order",
                got=str(self),
                expected="MIN:OPT:MAX with 1 <= MIN <= OPT <= MAX",
            )

    @classmethod
    def parse(cls, text: str) -> ShapeRange:
        """Read "4" (just that size) or "1:4:16" (smallest, usual, largest).

        Raises:
            BadInput: it is neither.
        """
        parts = text.split(":")
        if len(parts) not in (1, 3) or not all(part.isdecimal() for part in parts):
            raise BadInput(
                "Cannot read a size range", got=repr(text), expected="a number or MIN:OPT:MAX"
            )
        sizes = [int(part) for part in parts]
        return cls(*(sizes if len(sizes) == 3 else sizes * 3))  # noqa: PLR2004

    def __contains__(self, size: int) -> bool:
        return self.min <= size <= self.max

    def __str__(self) -> str:
        return f"{self.min}:{self.opt}:{self.max}"
