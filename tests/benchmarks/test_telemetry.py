import sys
from types import SimpleNamespace

import pytest

from tests.processes import comes_true
from unetrt import vendor
from unetrt.benchmarks import describe_machine
from unetrt.benchmarks import telemetry as nvml_module
from unetrt.benchmarks.machine import _revision
from unetrt.benchmarks.telemetry import GpuProbe, GpuReading, Telemetry, now_ns, open_gpu_probe
from unetrt.errors import MissingDependency
from unetrt.gpu import find_gpu


class FakeNvml:
    """Answers as pynvml does; what is in `mute` raises."""

    NVMLError = type("NVMLError", (Exception,), {})
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, reasons=0x1, mute=()):
        self.reasons, self.mute, self.open = reasons, mute, 0

    def __getattr__(self, name):
        answers = {
            "nvmlDeviceGetPowerUsage": lambda _h: 350_500,
            "nvmlDeviceGetClockInfo": lambda _h, kind: {1: 1980, 2: 2619}[kind],
            "nvmlDeviceGetTemperature": lambda _h, _sensor: 41,
            "nvmlDeviceGetCurrentClocksEventReasons": lambda _h: self.reasons,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda _h: self.reasons,
            "nvmlDeviceGetEnforcedPowerLimit": lambda _h: 700_000,
            "nvmlDeviceGetMaxClockInfo": lambda _h, _kind: 1980,
            "nvmlSystemGetDriverVersion": lambda: "580.65.06",
            "nvmlDeviceGetHandleByIndex": lambda index: f"gpu {index}",
            "nvmlDeviceGetHandleByPciBusId": lambda bus_id: f"gpu at {bus_id.decode()}",
            "nvmlInit": self._init,
            "nvmlShutdown": self._shutdown,
        }
        if name in self.mute:
            return self._refuse
        if name not in answers:
            raise AttributeError(name)
        return answers[name]

    def _init(self):
        self.open += 1

    def _shutdown(self):
        self.open -= 1

    def _refuse(self, *_words):
        raise self.NVMLError("Not Supported")


def test_a_reading_is_in_plain_units_and_names_its_reasons():
    assert GpuProbe(FakeNvml(0x1 | 0x4 | 0x40), "gpu").read() == GpuReading(
        1980, 2619, 350.5, 41, ("gpu_idle", "sw_power_cap", "hw_thermal_slowdown")
    )


def test_what_a_gpu_does_not_say_is_none():
    mute = ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetCurrentClocksEventReasons")
    reading = GpuProbe(FakeNvml(0x8, mute), "gpu").read()
    assert reading.power_w is None
    assert reading.throttle == ("hw_slowdown",)  # by its old name


def test_a_probe_is_of_the_gpu_that_cuda_sees_first(monkeypatch):
    fake = FakeNvml()
    monkeypatch.setattr(vendor, "pynvml", lambda: fake)
    monkeypatch.setattr(nvml_module, "first_gpu_bus_id", lambda: "0000:17:00.0")
    probe, why_not = open_gpu_probe()
    assert (probe._handle, why_not) == ("gpu at 0000:17:00.0", "")
    assert probe.describe() == {
        "driver": "580.65.06", "power_limit_w": 700.0, "max_sm_clock_mhz": 1980,
    }  # fmt: skip
    probe.close()
    assert fake.open == 0


def test_without_nvml_one_is_told_why(monkeypatch):
    def missing():
        raise MissingDependency("pynvml", extra="nvml", purpose="Watching the GPU's clocks")

    monkeypatch.setattr(vendor, "pynvml", missing)
    probe, why_not = open_gpu_probe()
    assert probe is None
    assert "install it with: pip install 'unetrt[nvml]'" in why_not
    monkeypatch.setattr(vendor, "pynvml", lambda: FakeNvml(mute=("nvmlInit",)))
    assert open_gpu_probe() == (None, "NVML does not answer: Not Supported.")


class Probe:
    """Gives its readings one by one, the last one for ever."""

    def __init__(self, *readings):
        self._readings, self.reads = list(readings), 0

    def read(self):
        self.reads += 1
        return self._readings.pop(0) if len(self._readings) > 1 else self._readings[0]


COOL = GpuReading(1980.0, 2619.0, 300.0, 40.0, ("gpu_idle",))
HOT = GpuReading(1500.0, 2619.0, 700.0, 85.0, ("sw_power_cap",))


def test_a_window_holds_what_the_background_saw_in_it_and_one_reading_of_its_own():
    began = now_ns()
    with Telemetry(Probe(COOL, COOL, HOT), interval_s=0.005) as telemetry:
        assert comes_true(lambda: telemetry._probe.reads >= 4)
        window = telemetry.window(began, now_ns(), n=7, preemptions=2)
        later = telemetry.window(now_ns(), now_ns(), n=0, preemptions=None)
    assert (window.n, window.preemptions, window.throttled) == (7, 2, True)
    assert window.throttle == ("gpu_idle", "sw_power_cap")
    assert window.temperature_c == 85
    assert 300 < window.power_w < 700
    assert later.throttle == ("sw_power_cap",)
    assert telemetry._thread is not None
    assert not telemetry._thread.is_alive()


def test_an_idle_gpu_does_not_throttle():
    with Telemetry(Probe(COOL), interval_s=10) as telemetry:
        assert not telemetry.window(now_ns(), now_ns(), n=1, preemptions=0).throttled


def test_on_a_cpu_there_is_the_load(monkeypatch, tmp_path):
    from unetrt.benchmarks import telemetry as module

    for core, khz in enumerate(("2000000", "3000000", "unreadable")):
        file = tmp_path / f"cpu{core}" / "cpufreq" / "scaling_cur_freq"
        file.parent.mkdir(parents=True)
        file.write_text(khz)
    monkeypatch.setattr(module, "_CPU_FREQUENCIES", tmp_path)
    with Telemetry() as telemetry:
        window = telemetry.window(now_ns(), now_ns(), n=1, preemptions=0)
    assert window.load_average >= 0
    assert window.cpu_mhz == 2500
    assert (window.sm_clock_mhz, window.throttle, window.throttled) == (None, (), False)
    monkeypatch.setattr(module, "_CPU_FREQUENCIES", tmp_path / "none")
    assert Telemetry().window(0, 1, n=1, preemptions=0).cpu_mhz is None


def test_a_gpu_that_is_not_watched_is_a_doubt(monkeypatch):
    from tests.fakes.candidates import FakeCandidate
    from unetrt.benchmarks import MeasureSpec, measure

    module = sys.modules["unetrt.benchmarks.measure"]  # the package shows the function
    monkeypatch.setattr(module, "find_gpu", SimpleNamespace)
    monkeypatch.setattr(module, "open_gpu_probe", lambda: (None, "no NVML."))
    taken = measure([FakeCandidate()], MeasureSpec(samples=2))["fake"]
    assert "The GPU's clocks were not watched: no NVML." in taken.warnings


@pytest.mark.gpu
@pytest.mark.skipif(
    find_gpu() is None or not vendor.installed("pynvml"), reason="needs an NVIDIA GPU and NVML"
)
def test_a_real_gpu_says_its_clocks():
    probe, why_not = open_gpu_probe()
    assert probe is not None, why_not
    assert probe.read().sm_clock_mhz > 0
    assert probe.describe()["driver"]
    probe.close()


def test_the_machine_names_its_revision_or_none(tmp_path):
    machine = describe_machine()
    assert {"cpu", "cores", "gpu", "system", "python", "packages", "git"} <= set(machine)
    assert _revision(tmp_path) is None
