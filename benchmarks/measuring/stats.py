"""From raw samples to the figures one quotes, and no figure the samples cannot carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .sample_count import fewest_samples
from .samples import Samples

__all__ = ["PERCENTILES", "Latency", "summarize", "summarize_ns"]

PERCENTILES = (90.0, 99.0, 99.9)
"""Given where there are samples enough, besides the median."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Figures in milliseconds; a percentile is None where there are too few samples for it.

    The median is always there, of however few samples.
    """

    n: int
    p50_ms: float
    p90_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    mean_ms: float
    min_ms: float
    max_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return p50, p90, ... in milliseconds, and n; what is not carried is left out."""
        figures = {
            "p50": self.p50_ms,
            "p90": self.p90_ms,
            "p99": self.p99_ms,
            "p99.9": self.p999_ms,
            "mean": self.mean_ms,
            "min": self.min_ms,
            "max": self.max_ms,
        }
        return {name: ms for name, ms in figures.items() if ms is not None} | {"n": self.n}


def summarize(samples: Samples) -> Latency:
    """Summarise the timed runs by the host's clock; the warm-up does not count."""
    return summarize_ns(samples.host_ns)


def summarize_ns(latency_ns: Sequence[int]) -> Latency:
    """Summarise nanoseconds."""
    ms = np.asarray(latency_ns) / 1e6
    p90, p99, p999 = (
        float(np.percentile(ms, p)) if ms.size >= fewest_samples(p) else None for p in PERCENTILES
    )
    return Latency(
        n=int(ms.size),
        p50_ms=float(np.median(ms)),
        p90_ms=p90,
        p99_ms=p99,
        p999_ms=p999,
        mean_ms=float(ms.mean()),
        min_ms=float(ms.min()),
        max_ms=float(ms.max()),
    )
