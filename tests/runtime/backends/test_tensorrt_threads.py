"""Several threads over one engine: the pool of contexts, and closing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from unetrt.errors import BadInput
from unetrt.runtime import open_session

PATIENCE_S = 600
"""For what comes at once on a quiet machine."""


def image(side, seed=0):
    return np.random.default_rng(seed).integers(0, 200, (1, side, side, 1)).astype(np.float32)


@pytest.mark.parametrize("version", ["tensorrt 10.12.0.36", "tensorrt_rtx 1.7.1.116"])
def test_eight_threads_get_what_one_gets(world_of, version):
    world = world_of(version)
    inputs = [image(8 + 4 * (seed % 5), seed) for seed in range(80)]
    with open_session(world.engine()) as session, ThreadPoolExecutor(8) as threads:
        alone = [session.run(x) for x in inputs]
        for mine, theirs in zip(alone, threads.map(session.run, inputs), strict=True):
            np.testing.assert_array_equal(theirs, mine)
    del alone, mine, theirs  # results are in memory of the device's own
    assert (world.device.held, world.contexts) == ({}, 0)


def at_once(world, opened, count):
    """Run in so many threads, all of which are in the device at the same time."""
    together = threading.Barrier(count, timeout=PATIENCE_S)
    synchronize = world.device.synchronize

    def met(stream):
        together.wait()
        synchronize(stream)

    world.device.synchronize = met
    with ThreadPoolExecutor(count) as threads:
        made = list(threads.map(opened.run, [(image(8),)] * count))
    world.device.synchronize = synchronize
    return made


def test_the_pool_grows_with_the_threads_that_run_at_once(world):
    opened = world.open()
    assert opened.info["contexts"] == 1
    for _ in range(3):
        opened.run((image(8),))
    assert opened.info["contexts"] == 1
    at_once(world, opened, 4)
    assert opened.info["contexts"] == world.contexts == 4
    opened.close()
    assert (world.contexts, world.device.held) == (0, {})


def test_the_pool_stops_growing_where_the_library_makes_no_more(world):
    world.room_for_contexts = 2
    opened = world.open()
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(opened.run, [(image(8, seed),) for seed in range(40)]))
    for seed, (y,) in enumerate(made):
        np.testing.assert_array_equal(y, image(8, seed))
    assert opened.info["contexts"] <= 2
    opened.close()
    del made, y
    assert world.device.held == {}


def test_a_thread_takes_the_context_that_knows_its_shape(capturing):
    opened = capturing.open()
    at_once(capturing, opened, 2)
    for side in (16, 16, 8, 8):
        opened.run((image(side),))
    capturing.forget()
    for side in (16, 16, 8, 8) * 3:
        opened.run((image(side),))
    assert set(capturing.device.done) == {"in", "launch", "out", "synchronize"}


def test_where_there_is_no_room_for_another_context_none_is_tried_again(world):
    world.room_for_contexts = 1
    opened = world.open()
    with ThreadPoolExecutor(1) as threads:
        with opened._pool.context(()):
            waiting = threads.submit(opened.run, (image(8),))
            while opened._pool.most > 1 and not waiting.done():  # until that thread has tried
                time.sleep(0.001)
            assert not waiting.done()
        np.testing.assert_array_equal(waiting.result(PATIENCE_S)[0], image(8))
    assert len(world.configs) == 2
    assert opened.info["contexts"] == 1


def test_in_a_stream_that_was_given_there_is_one_context(world):
    opened = world.open(stream=55)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(opened.run, [(image(8, seed),) for seed in range(40)]))
    for seed, (y,) in enumerate(made):
        np.testing.assert_array_equal(y, image(8, seed))
    assert (opened.info["contexts"], opened._pool.most) == (1, 1)


def test_without_room_for_one_context_the_engine_does_not_open(world):
    world.room_for_contexts = 0
    with pytest.raises(BadInput, match="cannot run .*smaller batch, height or width takes"):
        world.open()
    assert world.device.held == {}


def test_a_closed_session_says_so_to_every_thread(world):
    session = open_session(world.engine())
    x = image(8)
    session.run(x)
    session.close()
    session.close()
    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(session.run, x) for _ in range(4)]:
            with pytest.raises(BadInput, match="The session is closed; open it again"):
                future.result()


def test_closing_waits_for_the_run_under_way(world):
    opened = world.open()
    inside, leave = threading.Event(), threading.Event()
    synchronize = world.device.synchronize

    def held(stream):
        inside.set()
        assert leave.wait(PATIENCE_S)
        synchronize(stream)

    world.device.synchronize = held
    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(opened.run, (image(8),))
        assert inside.wait(PATIENCE_S)
        closing = threads.submit(opened.close)
        with pytest.raises(BadInput, match="The session is closed"):
            while True:  # until the closing thread is there
                opened._pool._taken(()) if opened._pool._closed else None
        assert not closing.done()
        leave.set()
        np.testing.assert_array_equal(running.result(PATIENCE_S)[0], image(8))
        closing.result(PATIENCE_S)
    del running
    assert (world.device.held, world.contexts) == ({}, 0)
