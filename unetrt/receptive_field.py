"""How far around its own place a network looks for what it says of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

__all__ = ["ReceptiveField"]


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
