"""Watch the machine while samples are taken: clocks, load, power, throttling."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from unetrt import vendor
from unetrt.errors import MissingDependency
from unetrt.files import Closing
from unetrt.gpu import first_gpu_bus_id

__all__ = [
    "DOUBTFUL",
    "GpuProbe",
    "GpuReading",
    "Telemetry",
    "Window",
    "now_ns",
    "open_gpu_probe",
    "preemptions",
    "rounds_of",
    "wait_until",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Tell what the machine did while one candidate had its turn in a round.

    What could not be read is None.

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


def rounds_of(samples: Sequence[int], windows: Iterable[Window]) -> tuple[tuple[int, ...], ...]:
    """Cut samples into the rounds that windows tell of; into one where they do not add up.

    >>> windows = [Window(began_s=0, ended_s=1, n=2), Window(began_s=1, ended_s=2, n=1)]
    >>> rounds_of([5, 6, 7], windows)
    ((5, 6), (7,))
    """
    rounds, start = [], 0
    for window in windows:
        rounds.append(tuple(samples[start : start + window.n]))
        start += window.n
    return tuple(filter(None, rounds)) if start == len(samples) else (tuple(samples),)


# The bits of nvmlClocksEventReasons (NVML API reference, "Clocks Event Reasons").
_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
DOUBTFUL = frozenset(
    {
        "sw_power_cap",
        "hw_slowdown",
        "sync_boost",
        "sw_thermal_slowdown",
        "hw_thermal_slowdown",
        "hw_power_brake_slowdown",
    }
)
"""Reasons that make a sample longer than the same run a moment before; the others are settings."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """Hold the GPU's clocks, power and temperature of one moment; None where it does not say."""

    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    power_w: float | None
    temperature_c: float | None
    throttle: tuple[str, ...]


class GpuProbe:
    """Read the clocks of the first GPU that this process sees.

    Args:
        nvml: the module pynvml, initialised.
        handle: of the GPU.
    """

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def read(self) -> GpuReading:
        """Read all of them; takes some tens of microseconds."""
        nvml = self._nvml
        power_mw = self._asked("nvmlDeviceGetPowerUsage")
        bits = self._asked("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:  # its name before driver 535
            bits = self._asked("nvmlDeviceGetCurrentClocksThrottleReasons")
        return GpuReading(
            sm_clock_mhz=self._asked("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._asked("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            power_w=None if power_mw is None else power_mw / 1000,
            temperature_c=self._asked("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            throttle=tuple(name for bit, name in _REASONS.items() if int(bits or 0) & bit),
        )

    def describe(self) -> dict[str, Any]:
        """Return the driver's version and the GPU's limits, JSON-ready."""
        limit_mw = self._asked("nvmlDeviceGetEnforcedPowerLimit")
        driver = self._nvml.nvmlSystemGetDriverVersion()
        return {
            "driver": driver.decode() if isinstance(driver, bytes) else driver,
            "power_limit_w": None if limit_mw is None else limit_mw / 1000,
            "max_sm_clock_mhz": self._asked("nvmlDeviceGetMaxClockInfo", self._nvml.NVML_CLOCK_SM),
        }

    def close(self) -> None:
        """Shut NVML down."""
        self._nvml.nvmlShutdown()

    def _asked(self, name: str, *words: Any) -> float | None:
        """Return a reading, or None: what a GPU can say depends on its kind and its driver."""
        try:
            reading: float = getattr(self._nvml, name)(self._handle, *words)
        except (AttributeError, self._nvml.NVMLError):
            return None
        return reading


def open_gpu_probe() -> tuple[GpuProbe | None, str]:
    """Return a probe of the first GPU; or None, and in a sentence why not."""
    try:
        nvml = vendor.pynvml()
    except MissingDependency as error:
        return None, str(error)
    try:
        nvml.nvmlInit()
        handle = _first_visible(nvml)
    except nvml.NVMLError as error:
        return None, f"NVML does not answer: {error}."
    return GpuProbe(nvml, handle), ""


def _first_visible(nvml: Any) -> Any:
    """Return CUDA's device 0, by its bus: NVML numbers all GPUs, CUDA those it may see."""
    bus_id = first_gpu_bus_id()
    if bus_id is None:
        return nvml.nvmlDeviceGetHandleByIndex(0)
    return nvml.nvmlDeviceGetHandleByPciBusId(bus_id.encode())


now_ns = time.perf_counter_ns
"""Returns nanoseconds of a clock that only goes forward."""

_SPIN_NS = 200_000


def wait_until(deadline_ns: int) -> None:
    """Return at `deadline_ns`, or at once where it is past.

    It sleeps, and spins at the end: a sleep alone comes back some 60 us late.
    """
    while (left := deadline_ns - now_ns()) > 0:
        if left > _SPIN_NS:
            time.sleep((left - _SPIN_NS) / 1e9)


def preemptions() -> int | None:
    """Return how often this thread had to give up its core; None where no system counts it."""
    try:
        import resource  # noqa: PLC0415  (not on Windows)

        return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    except (ImportError, AttributeError):  # macOS counts whole processes alone
        return None


_CPU_FREQUENCIES = Path("/sys/devices/system/cpu")
_KEPT = 10_000


class Probe(Protocol):
    """Read a GPU's clocks."""

    def read(self) -> GpuReading:
        """Read them now."""


class Telemetry(Closing):
    """Read the GPU's clocks in the background while a `with` block runs.

    Args:
        probe: of the GPU; None on a CPU.
        interval_s: between readings.
    """

    def __init__(self, probe: Probe | None = None, interval_s: float = 0.1) -> None:
        self._probe, self._interval_s = probe, interval_s
        self._readings: deque[tuple[int, GpuReading]] = deque(maxlen=_KEPT)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._origin_ns = now_ns()

    def window(self, began_ns: int, ended_ns: int, *, n: int, preemptions: int | None) -> Window:
        """Return what the machine did from `began_ns` to now; call it right after the samples.

        It reads once itself: a turn may be shorter than the background's interval, and a reason to
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

    def close(self) -> None:
        """Stop reading."""
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
