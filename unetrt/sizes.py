"""Relate the pixels of an image to those of a network's output: sizes, receptive field, padding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from unetrt.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ReceptiveField", "SizeRule", "as_batch", "mirrored_to_fit", "mirrored_to_size"]


@dataclass(frozen=True, slots=True)
class SizeRule:
    """A side fits if it is `remainder` more than a multiple of `multiple`.

    Attributes:
        multiple: two to the number of poolings, for a U-Net.
        remainder: 0 for networks that pad; the paper's takes 16 k + 12 pixels.
        margin: pixels by which the answer is smaller than the image at each of its edges: what
            a network without padding needs to see around the pixels it labels; the paper's, 92.
    """

    multiple: int = 1
    remainder: int = 0
    margin: int = 0

    def fits(self, side: int) -> bool:
        """Whether the network takes an image of that side."""
        return side > 2 * self.margin and side % self.multiple == self.remainder

    def at_least(self, side: int) -> int:
        """Return the smallest side that fits and is not below `side`."""
        side = max(side, 2 * self.margin + 1)
        return side + (self.remainder - side) % self.multiple

    def covering(self, side: int) -> int:
        """Return the smallest side that fits and whose answer has at least `side` pixels."""
        return self.at_least(side + 2 * self.margin)

    def nearest(self, side: int) -> tuple[int, ...]:
        """Return the one or two sides that fit and lie nearest, the smaller first."""
        above = self.at_least(side)
        below = above - self.multiple
        return (below, above) if self.fits(below) else (above,)

    def joined(self, other: SizeRule) -> SizeRule:
        """Return the rule of sides that fit both networks.

        Raises:
            BadInput: no side does, or their answers differ in size.
        """
        multiple = math.lcm(self.multiple, other.multiple)
        for remainder in range(self.remainder, multiple, self.multiple):
            if remainder % other.multiple == other.remainder and self.margin == other.margin:
                return SizeRule(multiple, remainder, self.margin)
        raise BadInput(
            "Two networks cannot take the same images",
            got=f"{self} and {other}",
            expected="sides that fit both, and answers of one size",
        )

    def __str__(self) -> str:
        rule = f"a multiple of {self.multiple}"
        return f"{self.remainder} more than {rule}" if self.remainder else rule


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The answer at (y, x) depends on image rows y - before[0] to y + after[0], columns likewise.

    An upper bound, as a graph's kernels, strides and padding give it. A network without padding
    answers at (y, x) about the pixel a margin further in: it looks only after, none before.

    Attributes:
        before: pixels above and to the left.
        after: pixels below and to the right.
        stride: moving the image by multiples of this moves the answer, and changes nothing else.
        unbounded_by: the layer through which the whole image is seen; "" where none is.
    """

    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    unbounded_by: str = ""

    @classmethod
    def unknown(cls) -> Self:
        """Return that of a network whose layers nobody has looked at."""
        return cls(unbounded_by="some layer that may be there")

    @property
    def is_bounded(self) -> bool:
        """Whether distant pixels make no difference."""
        return not self.unbounded_by

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and strings."""
        return {
            "before": list(self.before),
            "after": list(self.after),
            "stride": list(self.stride),
            "unbounded_by": self.unbounded_by,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: not two such numbers each.
        """
        pairs = [tuple(map(int, fields[name])) for name in ("before", "after", "stride")]
        if any(len(pair) != 2 or min(pair) < 0 for pair in pairs) or min(pairs[2]) < 1:  # noqa: PLR2004
            raise ValueError(f"a receptive field of {fields}")
        before, after, stride = ((pair[0], pair[1]) for pair in pairs)
        return cls(before, after, stride, str(fields["unbounded_by"]))


T = TypeVar("T", bound="np.generic")


def mirrored_to_size(image: NDArray[T], height: int, width: int, *, margin: int = 0) -> NDArray[T]:
    """Mirror [height, width, ...] out to at least the given size.

    It grows by `margin` at its upper and left edges, by the rest at the lower and right. The
    paper mirrors at the edges too (Ronneberger et al. 2015, section 2).
    """
    rows, columns = (
        (margin, max(0, wanted - own - margin))
        for own, wanted in zip(image.shape[:2], (height, width), strict=True)
    )
    if (rows, columns) == ((0, 0), (0, 0)):
        return image
    import numpy as np  # noqa: PLC0415  (the artifacts know sizes, and --help has no NumPy)

    return np.pad(image, (rows, columns, *[(0, 0)] * (image.ndim - 2)), mode="symmetric")


def mirrored_to_fit(image: NDArray[T], sizes: SizeRule) -> NDArray[T]:
    """Mirror [height, width, ...] out until a network takes it and its answer covers it.

    The image's own pixels are [:height, :width] of the answer.
    """
    height, width = map(sizes.covering, image.shape[:2])
    return mirrored_to_size(image, height, width, margin=sizes.margin)


def as_batch(image: NDArray[Any], sizes: SizeRule) -> NDArray[np.float32]:
    """Return an image [height, width, channels] as a network takes it: float32, a batch of one.

    It is mirrored out to fit; what belongs to it in the answer is [0, :height, :width].
    """
    batch: NDArray[np.float32] = mirrored_to_fit(image, sizes)[None].astype("float32")
    return batch
