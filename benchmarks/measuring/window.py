"""What the machine did while a few samples were taken."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Window"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One turn of one candidate. What could not be read is None.

    Attributes:
        began_s, ended_s: since the measuring began.
        n: samples taken in it.
        sm_clock_mhz, memory_clock_mhz: median of the GPU's clocks.
        power_w: mean of the GPU's.
        temperature_c: highest of the GPU's.
        throttle: why the GPU held its clocks back, in NVML's words, idleness included.
        throttled: whether one of them is a reason to doubt the samples.
        load_average: of the machine over the last minute.
        cpu_mhz: mean over the cores.
        preemptions: how often the timing thread had to give up its core.
    """

    began_s: float
    ended_s: float
    n: int
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    throttle: tuple[str, ...] = ()
    throttled: bool = False
    load_average: float | None = None
    cpu_mhz: float | None = None
    preemptions: int | None = None
