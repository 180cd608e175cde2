"""What a value of a graph knows of the image, along each of its axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import onnx_ir as ir

__all__ = ["Reach", "Seen"]

_IMAGE_RANK = 4


@dataclass(frozen=True, slots=True)
class Reach:
    """Along one axis: element i depends on pixels from stride * i - before to stride * i + after.

    `before` and `after` are infinite where every pixel counts.
    """

    stride: Fraction = Fraction(1)
    before: Fraction | float = Fraction(0)
    after: Fraction | float = Fraction(0)

    def own_counts(self) -> Reach:
        """Let an element see its own place: what is padded there is wrong where it is not."""
        return replace(self, before=max(self.before, 0), after=max(self.after, 0))

    def shifted(self, elements: int) -> Reach:
        """Return the reach of what lies so many elements further on."""
        moved = self.stride * elements
        return replace(self, before=self.before - moved, after=self.after + moved)

    def through_window(self, kernel: int, stride: int, dilation: int, pads: Sequence[int]) -> Reach:
        """Return that of a convolution or pooling."""
        below = self.own_counts() if any(pads) else self
        begun = below.shifted(-pads[0])
        after = begun.after + self.stride * dilation * (kernel - 1)
        return Reach(self.stride * stride, begun.before, after)

    def scaled_up(self, by: int, first: Callable[[int], int], last: Callable[[int], int]) -> Reach:
        """Return that of `by` elements for one: number i is made of those `first` to `last` of i.

        Both repeat with `by`: first(i + by) is first(i) + 1.
        """
        below, stride = self.own_counts(), self.stride / by
        phases = range(by)
        before = max(stride * i - self.stride * first(i) for i in phases)
        after = max(self.stride * last(i) - stride * i for i in phases)
        return Reach(stride, below.before + before, below.after + after)

    def joined(self, other: Reach) -> Reach:
        """Return the reach of both together."""
        return Reach(self.stride, max(self.before, other.before), max(self.after, other.after))


_ALL = Reach(Fraction(1), math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a value knows of the image.

    Attributes:
        axes: of the value, that are the image's height and width; None where they are gone.
        rows, columns: how far it sees along each.
        unbounded_by: the node through which it sees everything.
        rank: of the value.
    """

    axes: tuple[int, int] | None
    rows: Reach = Reach()
    columns: Reach = Reach()
    unbounded_by: str = ""
    rank: int = _IMAGE_RANK

    def of_all(self, node: ir.Node, *, axes: tuple[int, int] | None) -> Seen:
        """Return what a node knows that every pixel counts for."""
        by = self.unbounded_by or node.name or node.op_type
        rows, columns = (
            replace(_ALL, stride=own.stride) if axes else _ALL for own in (self.rows, self.columns)
        )
        return Seen(axes, rows, columns, by, self.rank)

    def mapped(self, rows: Callable[[Reach], Reach], columns: Callable[[Reach], Reach]) -> Seen:
        """Return it after something was done along each axis."""
        return replace(self, rows=rows(self.rows), columns=columns(self.columns))
