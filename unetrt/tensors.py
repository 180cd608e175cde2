"""What goes in and comes out of a network: names, types and shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unetrt.errors import BadInput, ShapeError

__all__ = ["ShapeRange", "TensorSpec"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor's name, NumPy type name, and shape; a free axis is its name, such as "batch"."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

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
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> TensorSpec:
        """Read what `to_json` wrote."""
        return cls(fields["name"], fields["dtype"], tuple(fields["shape"]))


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """The smallest, the most usual and the largest size of a free axis (TensorRT's profile)."""

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
        """Read "4" (just that size) or "1:4:16" (smallest, most usual, largest)."""
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
