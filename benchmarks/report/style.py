"""Which colour and marker a row has: the precision's colour, the library's marker."""

from __future__ import annotations

from collections.abc import Iterable

from .panel import Legend, Mark, dot
from .row import PRECISIONS, Row

__all__ = ["colour", "key", "libraries", "marker"]


def colour(precision: str) -> str:
    """Return the style of a precision; any other is grey."""
    return precision if precision in PRECISIONS else "other"


def marker(row: Row) -> str:
    """Return the style of a row's marker; one that was throttled has a rim."""
    return f"mark {colour(row.precision)}{' hot' if row.throttled else ''}"


def libraries(rows: Iterable[Row]) -> dict[str, int]:
    """Number the libraries, ours before peers, in the order of their names."""
    found = {(row.peer, row.backend) for row in rows}
    return {backend: place for place, (_, backend) in enumerate(sorted(found))}


def key(rows: Iterable[Row], markers: dict[str, int]) -> list[Legend]:
    """Return what colours and markers stand for."""
    rows = list(rows)
    precisions = sorted({row.precision for row in rows}, key=_rank)
    colours = [Legend(Mark("M2 7H22", "line " + colour(name)), name) for name in precisions]
    used = {row.backend for row in rows}
    shapes = [
        Legend(Mark(dot(12, 7, kind, 4), "mark other"), name)
        for name, kind in markers.items()
        if name in used
    ]
    return colours + shapes


def _rank(precision: str) -> tuple[int, str]:
    known = precision in PRECISIONS
    return (PRECISIONS.index(precision) if known else len(PRECISIONS), precision)
