import numpy as np
import pytest

from tests.fakes.candidates import IMAGE, ClockedDevice, FakeSession
from unetrt.benchmarks import (
    MeasureSpec,
    Pipelined,
    Reference,
    TimedInput,
    measure,
    session_candidate,
)
from unetrt.errors import BadInput, OutOfMemory

PIXELS = TimedInput(IMAGE * 16, "real", None, "a ramp")
BATCH = TimedInput(np.concatenate([IMAGE, IMAGE * 16]), "real", None, "two ramps")
LABELS = (PIXELS.pixels[..., 0] > 127).astype(np.uint8)


def candidate(session, scope="core", pixels=PIXELS):
    return session_candidate("s", session, pixels, scope=scope, precision="fp32")


def test_the_core_on_a_cpu_is_launch_and_wait_and_has_no_stages():
    session = FakeSession()
    core = candidate(session)
    turn = core.time_runs(3)
    assert session.bound[0].calls == ["launch", "wait"] * 3
    assert (len(turn.host_ns), turn.stages_ns) == (3, {})
    core.close()
    assert session.open == 0


def test_the_core_on_a_gpu_has_its_enqueue_and_its_events():
    device = ClockedDevice([70, 80])
    session = FakeSession(device)
    core = candidate(session)
    turn = core.time_runs(2)
    assert session.bound[0].calls == ["launch", "wait", "launch"] * 2
    assert [one for one in device.done if "event" not in one] == [
        "compute", "record", "compute", "record", "synchronize",
    ] * 2  # fmt: skip
    assert turn.stages_ns["compute"] == (70, 80)
    assert all(e <= h for e, h in zip(turn.stages_ns["enqueue"], turn.host_ns, strict=True))
    core.close()
    assert device.held == {}


@pytest.mark.parametrize("device", [None, ClockedDevice([70])])
@pytest.mark.parametrize("scope", ["core", "end_to_end"])
def test_two_in_flight_give_as_many_gaps_as_asked_for(device, scope):
    session = FakeSession(device)
    one = candidate(session, scope)
    taken = measure([one], MeasureSpec(samples=20, mode=Pipelined()))["s"]
    assert len(taken.host_ns) == 20
    assert min(taken.host_ns) >= 0
    one.close()
    assert session.open == 0


def test_on_a_gpu_the_next_run_is_launched_before_the_one_before_is_waited_for():
    session, seen = FakeSession(ClockedDevice([70])), []
    core = candidate(session)
    core.time_pipelined(1)  # binds
    for lane, bound in enumerate(session.bound[1:]):
        bound.launch = lambda lane=lane: seen.append(f"launch {lane}")
        bound.wait = lambda lane=lane: seen.append(f"wait {lane}")
    core.time_pipelined(2)
    assert seen == ["launch 0", "launch 1", "wait 0", "launch 0", "wait 1", "wait 0"]


def test_end_to_end_segments_an_image_and_runs_a_batch():
    session = FakeSession()
    one = candidate(session, "end_to_end")
    assert one.time_runs(3).stages_ns == {}
    assert session.segmented == 3
    assert np.array_equal(one.predict(), LABELS)
    many = candidate(session, "end_to_end", BATCH)
    assert np.array_equal(many.predict()[1:], LABELS)
    assert session.segmented == 4


def test_end_to_end_on_a_gpu_has_copies_and_compute():
    device = ClockedDevice([3, 70, 4])
    session = FakeSession(device)
    one = candidate(session, "end_to_end")
    del device.done[:]
    stages = one.time_runs(2).stages_ns
    assert device.done == [
        "record", "in", "record", "compute", "record", "out", "record", "synchronize",
    ] * 2  # fmt: skip
    assert min(stages.pop("enqueue")) > 0
    assert stages == {"copy_in": (3, 3), "compute": (70, 70), "copy_out": (4, 4)}
    one.close()
    assert (device.held, session.open) == ({}, 0)


def test_copies_that_do_not_fit_leave_nothing_behind():
    device = ClockedDevice([1])
    device.room = 100
    session = FakeSession(device)
    with pytest.raises(OutOfMemory):
        candidate(session, "end_to_end")
    assert (device.held, session.open) == ({}, 0)


@pytest.mark.parametrize("scope", ["core", "end_to_end"])
def test_both_scopes_are_checked_against_a_reference(scope):
    agreed = measure([candidate(FakeSession(), scope)], MeasureSpec(samples=1),
                     reference=Reference("truth", LABELS))["s"].agreement  # fmt: skip
    assert agreed.labels_that_differ == 0.0


def test_there_is_no_third_scope():
    with pytest.raises(BadInput, match="There is no such scope: got half, expected core or end_to"):
        candidate(FakeSession(), "half")
