"""From raw samples to the figures one quotes, and no figure the samples cannot carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .measure import Samples

__all__ = ["FEWEST_SAMPLES", "Latency", "summarize"]

FEWEST_SAMPLES = {90: 64, 99: 662}
"""Samples a percentile needs: MLPerf loadgen's rule at 99 % confidence."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in milliseconds; None where there are too few samples for one."""

    n: int
    p50_ms: float
    p90_ms: float | None
    p99_ms: float | None
    min_ms: float
    max_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return p50, p90, ... in milliseconds, and n; what is not carried is left out."""
        figures = {
            "p50": self.p50_ms,
            "p90": self.p90_ms,
            "p99": self.p99_ms,
            "min": self.min_ms,
            "max": self.max_ms,
        }
        return {name: ms for name, ms in figures.items() if ms is not None} | {"n": self.n}


def summarize(samples: Samples) -> Latency:
    """Summarise the timed calls; the warm-up does not count."""
    ms = np.asarray(samples.latency_ns) / 1e6

    def percentile(p: int) -> float | None:
        return float(np.percentile(ms, p)) if ms.size >= FEWEST_SAMPLES[p] else None

    return Latency(
        n=int(ms.size),
        p50_ms=float(np.median(ms)),
        p90_ms=percentile(90),
        p99_ms=percentile(99),
        min_ms=float(ms.min()),
        max_ms=float(ms.max()),
    )
