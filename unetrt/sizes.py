"""Which heights and widths a network takes, and how much smaller its answer is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unetrt.errors import BadInput

__all__ = ["SizeRule"]


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
