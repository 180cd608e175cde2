"""How each candidate is timed."""

from __future__ import annotations

from dataclasses import dataclass, field

from unetrt.errors import BadInput

from .modes import Mode, Serialised
from .sample_count import fewest_samples

__all__ = ["Plan"]

_PERCENTILE = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How often and in which order candidates run.

    Attributes:
        percentile: that the samples must carry; it chooses their number.
        samples: timed runs of each instead, as many as the percentile needs or more.
        warmup: runs of each before that.
        run_length: consecutive runs of one candidate before another has its turn.
        seed: of the order of the turns.
        mode: how runs follow each other.
    """

    percentile: float | None = None
    samples: int | None = None
    warmup: int = 5
    run_length: int = 10
    seed: int = 0
    mode: Mode = field(default_factory=Serialised)

    def __post_init__(self) -> None:
        counts = (self.run_length, 1 if self.samples is None else self.samples)
        if min(counts) < 1 or self.warmup < 0:
            raise BadInput(
                "Cannot measure by this plan",
                got=str(self),
                expected="at least one sample and one run a turn",
            )
        if self.percentile is not None and self.count < fewest_samples(self.percentile):
            raise BadInput(
                f"The {self.percentile:g}th percentile cannot be told from so few samples",
                got=self.samples,
                expected=f"at least {fewest_samples(self.percentile)}",
                hint="leave the number of samples out, and the percentile chooses it",
            )

    @property
    def count(self) -> int:
        """Timed runs of each candidate."""
        if self.samples is not None:
            return self.samples
        return fewest_samples(_PERCENTILE if self.percentile is None else self.percentile)

    @property
    def turn_length(self) -> int:
        """Runs in one turn."""
        return self.count if self.mode.in_one_turn else min(self.run_length, self.count)
