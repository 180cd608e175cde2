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
    """Say which heights and widths a network takes: `remainder` more than a multiple of `multiple`.

    >>> paper = SizeRule(multiple=16, remainder=12, margin=92)
    >>> paper.fits(572), paper.nearest(500), paper.covering(388)
    (True, (492, 508), 572)

    Attributes:
        multiple: in pixels; of a U-Net, two to the number of its poolings.
        remainder: in pixels; 0 of networks that pad, 12 of the paper's.
        margin: pixels by which the output is smaller than the image at each of its edges, where a
            network does not pad; 92 of the paper's.
    """

    multiple: int = 1
    remainder: int = 0
    margin: int = 0

    def fits(self, side: int) -> bool:
        """Return whether the network takes an image of that side."""
        return side > 2 * self.margin and side % self.multiple == self.remainder

    def at_least(self, side: int) -> int:
        """Return the smallest side that fits and is not below `side`."""
        side = max(side, 2 * self.margin + 1)
        return side + (self.remainder - side) % self.multiple

    def covering(self, side: int) -> int:
        """Return the smallest side that fits and whose output has at least `side` pixels."""
        return self.at_least(side + 2 * self.margin)

    def nearest(self, side: int) -> tuple[int, ...]:
        """Return the one or two sides that fit and lie nearest, the smaller first."""
        above = self.at_least(side)
        below = above - self.multiple
        return (below, above) if self.fits(below) else (above,)

    def joined(self, other: SizeRule) -> SizeRule:
        """Return the rule of sides that fit both networks.

        Raises:
            BadInput: no side does, or their outputs differ in size.
        """
        multiple = math.lcm(self.multiple, other.multiple)
        for remainder in range(self.remainder, multiple, self.multiple):
            if remainder % other.multiple == other.remainder and self.margin == other.margin:
                return SizeRule(multiple, remainder, self.margin)
        raise BadInput(
            "Two networks cannot take the same images",
            got=f"{self} and {other}",
            expected="sides that fit both, and outputs of one size",
        )

    def __str__(self) -> str:
        rule = f"a multiple of {self.multiple}"
        return f"{self.remainder} more than {rule}" if self.remainder else rule


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """Bound the pixels of an image on which one pixel of the output depends.

    The output at (y, x) depends on rows y - before[0] to y + after[0] of the image, and on columns
    likewise: an upper bound, as a graph's kernels, strides and padding give it. Without padding the
    output at (y, x) is that of the pixel a margin further in, and depends on none before (y, x).

    >>> ReceptiveField((3, 3), (3, 3), (2, 2)).is_bounded, ReceptiveField.unknown().is_bounded
    (True, False)

    Attributes:
        before: rows above and columns to the left.
        after: rows below and columns to the right.
        stride: rows and columns; an image moved by multiples of them has its output moved alike.
        unbounded_by: the layer by which a pixel depends on the whole image; "" where none does.
    """

    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    unbounded_by: str = ""

    @classmethod
    def unknown(cls) -> Self:
        """Return the field of a network whose layers are not known: unbounded."""
        return cls(unbounded_by="some layer that may be there")

    @property
    def is_bounded(self) -> bool:
        """Return whether distant pixels make no difference."""
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
    """Mirror an image at its edges until it has at least the given size.

    The paper mirrors at the edges too (Ronneberger et al. 2015, section 2).

    Args:
        image: [height, width, ...].
        height: of the result, in pixels, unless the image is larger.
        width: likewise.
        margin: pixels that are added above and to the left; the rest is added on the other side.

    >>> import numpy as np
    >>> mirrored_to_size(np.array([[1, 2, 3]]), 1, 5, margin=1)[0]
    array([1, 1, 2, 3, 3])
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
    """Mirror an image at its edges until a network takes it and the output covers it.

    Args:
        image: [height, width, ...]; its own pixels are [:height, :width] of the output.
        sizes: of the network.

    >>> import numpy as np
    >>> mirrored_to_fit(np.zeros((30, 50, 1)), SizeRule(16)).shape
    (32, 64, 1)
    """
    height, width = map(sizes.covering, image.shape[:2])
    return mirrored_to_size(image, height, width, margin=sizes.margin)


def as_batch(image: NDArray[Any], sizes: SizeRule) -> NDArray[np.float32]:
    """Return an image as a network takes it: float32, a batch of one, mirrored until it fits.

    Args:
        image: [height, width, channels]; its pixels are [0, :height, :width] of the output.
        sizes: of the network.

    >>> import numpy as np
    >>> as_batch(np.zeros((30, 50, 1), np.uint8), SizeRule(16)).shape
    (1, 32, 64, 1)
    """
    batch: NDArray[np.float32] = mirrored_to_fit(image, sizes)[None].astype("float32")
    return batch
