import os

import pytest

from unetrt.benchmarks import Turn, describe_machine
from unetrt.benchmarks.machine import _revision
from unetrt.benchmarks.measure import doubts_of
from unetrt.benchmarks.telemetry import Window


def window(**fields):
    return Window(began_s=0, ended_s=1, n=100, **fields)


QUIET = Turn((1_000_000,) * 100)


def test_a_quiet_run_is_not_doubted():
    stages = {"enqueue": (10,) * 100, "compute": (100,) * 100}
    idle = window(throttle=("gpu_idle",), load_average=0.1, preemptions=5)
    assert doubts_of(Turn(QUIET.host_ns, stages), [idle]) == []


@pytest.mark.parametrize(
    ("turn", "windows", "words"),
    [
        (Turn((1,) * 9, {"enqueue": (81,) * 9, "compute": (100,) * 9}), [window()],
         "Launching takes 81 % of the time that the GPU computes"),
        (Turn((1,) * 4, {"compute": (100, 110, 100, 110)}), [window()],
         "The GPU times vary by 4.8 %"),
        (Turn((100, 150, 100, 150)), [window()], "The host times vary by 20.0 %"),
        (QUIET, [window(), window(throttled=True, throttle=("gpu_idle", "sw_power_cap"))],
         "The GPU throttled in 1 of 2 windows: sw_power_cap"),
        (QUIET, [window(preemptions=6)], "lost its core 6 times in 100 runs"),
        (QUIET, [window(load_average=100.0 * (os.cpu_count() or 1))], "The machine's load was"),
    ],
)  # fmt: skip
def test_a_doubt_is_a_sentence(turn, windows, words):
    (doubt,) = doubts_of(turn, windows)
    assert doubt.startswith(words) or words in doubt


def test_the_machine_names_its_revision_or_none(tmp_path):
    machine = describe_machine()
    assert {"cpu", "cores", "gpu", "system", "python", "packages", "git"} <= set(machine)
    assert _revision(tmp_path) is None
