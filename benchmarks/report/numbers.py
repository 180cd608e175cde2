"""Format numbers for people."""

from __future__ import annotations

import math

__all__ = [
    "MISSING",
    "compact",
    "count",
    "figure",
    "interval",
    "milliseconds",
    "ratio",
    "rounded",
    "share",
    "sizes",
]

MISSING = "\N{EN DASH}"
"""Stands where there is no figure."""

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SMALLEST_PLAIN = 1e-4


def figure(value: float, digits: int = 3) -> str:
    """Return `value` to so many significant digits, thousands apart; tiny ones as 1.2e-06."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    if abs(value) < _SMALLEST_PLAIN:
        return f"{value:.{digits - 2}e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def ratio(value: float) -> str:
    """Return a ratio of two latencies: three decimals, for most lie near one."""
    return f"{value:.3f}" if 0.1 <= value < 10 else figure(value)  # noqa: PLR2004


def interval(ends: tuple[float, float] | None) -> str:
    """Return the interval of a ratio; a dash where it has no bounds."""
    return MISSING if ends is None else f"{ratio(ends[0])} to {ratio(ends[1])}"


def rounded(value: float) -> str:
    """Return a round number without idle zeros: a tick's label."""
    text = figure(value, 4)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def milliseconds(value_ms: float) -> str:
    """Return a duration with its unit."""
    return f"{figure(value_ms)} ms"


def share(value: float) -> str:
    """Return a share of one in per cent; a small one keeps its first digit."""
    percent = 100 * value
    return f"{percent:.0f} %" if abs(percent) >= 1 or percent == 0 else f"{figure(percent, 1)} %"


def compact(value: float, unit: str) -> str:
    """Return a large quantity with its prefix: 790 TFLOP/s."""
    size, prefix = next((p for p in _PREFIXES if abs(value) >= p[0]), (1.0, ""))
    return f"{rounded(float(f'{value / size:.3g}'))} {prefix}{unit}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return "1 row", "2 rows"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def sizes(*numbers: int) -> str:
    """Return a shape without spaces, so that no line breaks inside it."""
    return "\N{MULTIPLICATION SIGN}".join(map(str, numbers))
