"""Read the values of options that several subcommands share: one grammar for each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import typer

from unetrt.errors import BadInput
from unetrt.tensors import ShapeRange

__all__ = [
    "Fast",
    "MemoryOption",
    "Precisions",
    "Size",
    "SizeOption",
    "SizeRangeOption",
    "read_memory",
    "read_percent",
    "read_range",
]

_UNITS = {"kib": 2**10, "mib": 2**20, "gib": 2**30}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?|\.\d+) ?(KiB|MiB|GiB)?", re.IGNORECASE)


def read_memory(text: str) -> int:
    """Read an amount of memory: a number of GiB, or one with its unit.

    Returns:
        Bytes.

    Raises:
        BadParameter: it is none, or less than a byte.

    >>> read_memory("1.5"), read_memory("512MiB")
    (1610612736, 536870912)
    """
    found = _MEMORY.fullmatch(text)
    nbytes = 0
    if found is not None:
        nbytes = int(float(found[1]) * _UNITS[(found[2] or "GiB").lower()])
    if nbytes < 1:
        raise typer.BadParameter(f"got {text!r}, expected GiB, or a unit: 2, 1.5GiB or 512MiB.")
    return nbytes


@dataclass(frozen=True, slots=True)
class Size:
    """Height and width of an image, each one number of pixels or a range: "512", "480x640"."""

    height: ShapeRange
    width: ShapeRange

    @property
    def sides(self) -> tuple[int, int]:
        """Return height and width of a size without a range."""
        return self.height.opt, self.width.opt

    @classmethod
    def read(cls, text: str) -> Self:
        """Read one height and width.

        Raises:
            BadParameter: it is none, or a range.

        >>> Size.read("480x640").sides, Size.read("512").sides
        ((480, 640), (512, 512))
        """
        size = None if ":" in text else cls._parsed(text)
        if size is None:
            raise typer.BadParameter(
                f"got {text!r}, expected one size in pixels: 512, or HEIGHTxWIDTH such as 480x640."
            )
        return size

    @classmethod
    def read_square(cls, text: str) -> Self:
        """Read one side of a square.

        Raises:
            BadParameter: it is none.
        """
        size = None if ":" in text or "x" in text else cls._parsed(text)
        if size is None:
            raise typer.BadParameter(f"got {text!r}, expected the side of a square in pixels: 512.")
        return size

    @classmethod
    def read_range(cls, text: str) -> Self:
        """Read height and width, each of them one number or MIN:OPT:MAX.

        Raises:
            BadParameter: it is none.

        >>> Size.read_range("256:512:1024x640").height
        ShapeRange(min=256, opt=512, max=1024)
        """
        size = cls._parsed(text)
        if size is None:
            raise typer.BadParameter(
                f"got {text!r}, expected pixels: 512, 480x640, or ranges MIN:OPT:MAX such as "
                "256:512:1024 or 256:512:1024x640."
            )
        return size

    @classmethod
    def _parsed(cls, text: str) -> Self | None:
        sides = text.split("x")
        try:
            ranges = [ShapeRange.parse(side) for side in sides]
        except BadInput:
            return None
        return cls(ranges[0], ranges[-1]) if len(ranges) <= 2 else None  # noqa: PLR2004


def read_range(text: str) -> ShapeRange:
    """Read one number or MIN:OPT:MAX.

    Raises:
        BadParameter: it is none.
    """
    try:
        return ShapeRange.parse(text)
    except BadInput:
        raise typer.BadParameter(
            f"got {text!r}, expected a number, or MIN:OPT:MAX such as 1:1:8."
        ) from None


def read_percent(text: str) -> float:
    """Read a share.

    Raises:
        BadParameter: it is none, or below zero.

    >>> read_percent("5%"), read_percent("5")
    (0.05, 0.05)
    """
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent < float("inf"):
        raise typer.BadParameter(f"got {text!r}, expected percents, such as 5%.")
    return percent / 100


Precisions = Literal["fp32", "fp16", "bf16", "int8"]
"""The names of the precisions that a network can be retyped to."""
MemoryOption = Annotated[
    int | None,
    typer.Option(
        "--memory",
        parser=read_memory,
        metavar="GIB",
        help="That the network may work in, 2 by default, or with a unit: 512MiB; larger images "
        "are tiled.",
    ),
]
SizeOption = Annotated[
    Size | None,
    typer.Option(
        "--size", parser=Size.read, metavar="SIZE", help="In pixels: 512, or HEIGHTxWIDTH."
    ),
]
SizeRangeOption = Annotated[
    Size | None,
    typer.Option(
        "--size",
        parser=Size.read_range,
        metavar="SIZE",
        help="In pixels: 512, or HEIGHTxWIDTH, each of them N or MIN:OPT:MAX.",
    ),
]
Fast = Annotated[
    bool,
    typer.Option(
        "--fast", help="Compute in less than the file's precision where this machine gains by it."
    ),
]
