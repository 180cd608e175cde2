"""A background thread that looks at the machine while samples are taken."""

from __future__ import annotations

import os
import statistics
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from .clock import now_ns
from .nvml import DOUBTFUL, GpuReading
from .window import Window

__all__ = ["Probe", "Telemetry"]

_CPU_FREQUENCIES = Path("/sys/devices/system/cpu")
_KEPT = 10_000


class Probe(Protocol):
    """Looks at a GPU."""

    def read(self) -> GpuReading:
        """Look at it now."""


class Telemetry:
    """Context manager; `window` says what was seen between two times.

    Args:
        probe: of the GPU; None on a CPU.
        interval_s: between looks in the background.
    """

    def __init__(self, probe: Probe | None = None, interval_s: float = 0.1) -> None:
        self._probe, self._interval_s = probe, interval_s
        self._readings: deque[tuple[int, GpuReading]] = deque(maxlen=_KEPT)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._origin_ns = now_ns()

    def window(self, began_ns: int, ended_ns: int, *, n: int, preemptions: int | None) -> Window:
        """Return what the machine did from `began_ns` to now; call it right after the samples.

        It looks once itself: a turn may be shorter than the background's interval, and a reason to
        throttle stays for longer than this call.
        """
        seen = [self._probe.read()] if self._probe is not None else []
        seen += [r for at, r in list(self._readings) if began_ns <= at <= ended_ns]
        reasons = sorted({reason for reading in seen for reason in reading.throttle})
        return Window(
            began_s=(began_ns - self._origin_ns) / 1e9,
            ended_s=(ended_ns - self._origin_ns) / 1e9,
            n=n,
            sm_clock_mhz=_of(statistics.median, (r.sm_clock_mhz for r in seen)),
            memory_clock_mhz=_of(statistics.median, (r.memory_clock_mhz for r in seen)),
            power_w=_of(statistics.fmean, (r.power_w for r in seen)),
            temperature_c=_of(max, (r.temperature_c for r in seen)),
            throttle=tuple(reasons),
            throttled=not DOUBTFUL.isdisjoint(reasons),
            load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            cpu_mhz=_cpu_mhz(),
            preemptions=preemptions,
        )

    def __enter__(self) -> Self:
        self._origin_ns = now_ns()
        if self._probe is not None:
            self._thread = threading.Thread(
                target=self._watch, args=(self._probe,), daemon=True, name="telemetry"
            )
            self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, probe: Probe) -> None:
        while not self._stop.wait(self._interval_s):
            self._readings.append((now_ns(), probe.read()))


def _of(reduce: Callable[[list[float]], float], values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return reduce(known) if known else None


def _cpu_mhz() -> float | None:
    """Return the mean over the cores; virtual machines mostly do not say."""
    khz = []
    for core in _CPU_FREQUENCIES.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"):
        try:
            khz.append(int(core.read_text()))
        except (OSError, ValueError):
            continue
    return statistics.fmean(khz) / 1000 if khz else None
