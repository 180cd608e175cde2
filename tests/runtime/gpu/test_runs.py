"""Runs from host to host: right, in turn, side by side, and all memory given back."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.runtime.gpu.same import image, near, same
from unetrt.benchmarks.candidates import BoundCandidate, open_host_to_host
from unetrt.errors import OutOfMemory
from unetrt.gpu import find_gpu
from unetrt.runtime import open_session
from unetrt.runtime.devices import open_device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(find_gpu() is None, reason="needs an NVIDIA GPU"),
]


def test_it_is_right_and_the_same_before_and_with_a_graph(session, expected):
    x = image()
    first = session.run(x)
    near(first, x, expected)
    for _ in range(4):
        same(session.run(x), first, session)
    said = session.info
    assert said["cuda_graph"] in ("captured per shape", "captured by the library"), said


def test_pinned_inputs_are_copied_from_where_they_lie(session, expected):
    x = image()
    y = session.run(x)  # results are pinned
    fed = y[:, :1].copy()
    near(session.run(y[:, :1]), fed, expected)
    near(session.run(fed), fed, expected)


def test_shapes_take_turns(session, expected):
    for side, batch in [(64, 1), (128, 2), (16, 4), (64, 1), (64, 1), (128, 2)] * 2:
        x = image(side, batch)
        near(session.run(x), x, expected)


def test_eight_threads_get_what_one_gets(session):
    inputs = [image((16, 64, 128)[seed % 3], seed=seed) for seed in range(96)]
    alone = [session.run(x) for x in inputs]
    with ThreadPoolExecutor(8) as threads:
        for mine, theirs in zip(alone, threads.map(session.run, inputs), strict=True):
            same(theirs, mine, session)
    assert 1 <= session.info["contexts"] <= 4


def test_closing_gives_back_all_memory(engine):
    device = open_device()

    def free():
        with device.current():
            return device.memory()[0]

    def once():
        with open_session(engine) as opened:
            opened.run(image(256, 4))
            with opened.bind(image(256, 4)) as bound:
                bound.launch()
                bound.wait()

    once()  # what the libraries themselves keep is there now
    before = free()
    for _ in range(5):
        once()
    assert before - free() < 8 << 20


def test_ten_thousand_runs_do_not_grow(session):
    x = image()
    for _ in range(100):
        session.run(x)
    device = open_device()
    with device.current():
        before = device.memory()[0]
    for _ in range(10_000):
        session.run(x)
    with device.current():
        assert before - device.memory()[0] < 4 << 20


def test_out_of_memory_names_the_bytes_and_all_stays_usable(session):
    device = open_device(session.spec.device)
    with device.current():
        total = device.memory()[1]
        with pytest.raises(OutOfMemory, match=f"allocate {2 * total} bytes on .* free of {total}"):
            device.allocate(2 * total)
    assert session.run(image()).shape == (1, 2, 64, 64)


def test_a_bound_run_is_right_and_its_stages_are_timed(session, expected):
    x = image(256, 4)
    with session.bind(x) as bound:
        bound.launch()
        bound.wait()
        near(bound.outputs()[0], x, expected)
    with closing(BoundCandidate("core", session, {session.inputs[0].name: x})) as core:
        assert min(core.time_runs(3).stages_ns["compute"]) > 0
    with closing(open_host_to_host(session, {session.inputs[0].name: x})) as stages:
        turn = stages.time_runs(3)
    for stage in ("copy_in", "compute", "copy_out"):
        assert min(turn.stages_ns[stage]) > 0
    assert all(e <= h for e, h in zip(turn.stages_ns["enqueue"], turn.host_ns, strict=True))
