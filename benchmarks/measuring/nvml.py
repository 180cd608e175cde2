"""What a GPU says of itself through NVML: clocks, power, temperature, why it throttles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unetrt import vendor
from unetrt.errors import MissingDependency
from unetrt.gpu import first_gpu_bus_id

__all__ = ["DOUBTFUL", "GpuProbe", "GpuReading", "open_gpu_probe"]

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
    """One look at the GPU; None where it does not say."""

    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    power_w: float | None
    temperature_c: float | None
    throttle: tuple[str, ...]


class GpuProbe:
    """The first GPU that this process sees.

    Args:
        nvml: the module pynvml, initialised.
        handle: of the GPU.
    """

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def read(self) -> GpuReading:
        """Look at it now; takes some tens of microseconds."""
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
        """Let go of NVML."""
        self._nvml.nvmlShutdown()

    def _asked(self, name: str, *words: Any) -> float | None:
        """Return an answer, or None: what a GPU can say depends on its kind and its driver."""
        try:
            answer: float = getattr(self._nvml, name)(self._handle, *words)
        except (AttributeError, self._nvml.NVMLError):
            return None
        return answer


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
