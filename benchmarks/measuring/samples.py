"""What was measured of one candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .agreement import Agreement
from .window import Window

__all__ = ["Samples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Raw nanoseconds of one candidate, in order, nothing clipped.

    Attributes:
        name: of the candidate.
        host_ns: by the host's clock; the mode says from when to when.
        stages_ns: other clocks' times: "enqueue", "compute", "copy_in", "copy_out", "service".
        warmup_ns: before that, kept apart.
        windows: the turns, `n` samples each.
        runs_per_s: that were finished, by the mode's own reckoning.
        agreement: with the reference answer; None where there was none.
        warnings: sentences that say why the figures should not be trusted.
    """

    name: str
    host_ns: tuple[int, ...]
    stages_ns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    warmup_ns: tuple[int, ...] = ()
    windows: tuple[Window, ...] = ()
    runs_per_s: float = 0.0
    agreement: Agreement | None = None
    warnings: tuple[str, ...] = ()

    @property
    def turns_ns(self) -> tuple[tuple[int, ...], ...]:
        """The host's samples, turn by turn."""
        turns, start = [], 0
        for window in self.windows:
            turns.append(self.host_ns[start : start + window.n])
            start += window.n
        return tuple(turns) if start == len(self.host_ns) and turns else (self.host_ns,)
