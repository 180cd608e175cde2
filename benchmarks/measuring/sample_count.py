"""How many samples a percentile needs."""

from __future__ import annotations

from functools import cache

from unetrt.errors import BadInput

__all__ = ["CONFIDENCE", "fewest_samples"]

CONFIDENCE = 0.99


@cache
def fewest_samples(percentile: float) -> int:
    """Return how many samples bound a percentile from above by one that was measured.

    MLPerf loadgen's early stopping (mlcommons/inference, loadgen/early_stopping.cc and
    results.cc): with n samples the second largest is an upper bound of the percentile p at 99 %
    confidence once "at most one of n lies above p" has a chance of under 1 %, which is
    q^n + n q^(n-1) (1 - q) with q = p / 100. p90 64, p95 130, p99 662, p99.9 6,636.

    Raises:
        BadInput: not a percentile between 0 and 100.
    """
    if not 0 < percentile < 100:  # noqa: PLR2004
        raise BadInput(
            "There is no such percentile", got=f"{percentile:g}", expected="between 0 and 100"
        )
    q = percentile / 100

    def carried(n: int) -> bool:
        return q**n + n * q ** (n - 1) * (1 - q) < 1 - CONFIDENCE

    too_few, enough = 1, 2
    while not carried(enough):
        too_few, enough = enough, 2 * enough
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if carried(middle) else (middle, enough)
    return enough
