"""Bound runs of engines: what is timed as the core."""

import numpy as np
import pytest

from unetrt.errors import BadInput, OutOfMemory, ShapeError
from unetrt.runtime import open_session


def image(*shape):
    return np.random.default_rng(0).integers(0, 200, shape).astype(np.float32)


def test_it_is_warm_and_launches_do_not_wait(capturing):
    x = image(1, 8, 8, 1)
    with open_session(capturing.engine()) as session, session.bind(x) as bound:
        capturing.forget()
        bound.launch()
        bound.launch()
        assert capturing.device.done == ["launch", "launch"]
        bound.wait()
        assert capturing.device.done[-1] == "synchronize"
        (y,) = bound.outputs()
        np.testing.assert_array_equal(y, x)
    assert (capturing.device.held, capturing.contexts) == ({}, 0)


def test_events_in_its_stream_time_a_run(capturing):
    with open_session(capturing.engine()) as session, session.bind(image(1, 8, 8, 1)) as bound:
        device = bound.device
        capturing.forget()
        with device.current():
            start, end = device.open_event(), device.open_event()
            device.record(start, bound.stream)
            bound.launch()
            device.record(end, bound.stream)
            assert device.done == ["record", "launch", "record"]
            # The fake counts what was done between two events, the first one included.
            assert device.elapsed_ns(start, end) == 2
            device.close_event(start)
            device.close_event(end)


def test_it_shares_the_engine_with_runs_of_other_shapes(capturing):
    x, other = image(1, 8, 8, 1), image(1, 16, 8, 1)
    with open_session(capturing.engine()) as session, session.bind({"image": x}) as bound:
        np.testing.assert_array_equal(session.run(other), other)
        bound.launch()
        bound.wait()
        np.testing.assert_array_equal(bound.outputs()[0], x)


def test_closing_the_session_closes_it(capturing):
    session = open_session(capturing.engine())
    bound = session.bind(image(1, 8, 8, 1))
    session.bind(image(1, 8, 8, 1)).close()
    session.close()
    assert (capturing.device.held, capturing.contexts) == ({}, 0)
    bound.close()
    with pytest.raises(BadInput, match="The bound run is closed; bind the inputs again"):
        bound.launch()
    with pytest.raises(BadInput, match="The session is closed"):
        session.bind(image(1, 8, 8, 1))


def test_what_cannot_be_bound(capturing):
    capturing.device.room = 2048
    with open_session(capturing.engine()) as session:
        with pytest.raises(ShapeError, match="not built for this size"):
            session.bind(image(1, 40, 8, 1))
        with pytest.raises(BadInput, match="Cannot bind these inputs: expected NumPy arrays"):
            session.bind(capturing.put(image(1, 8, 8, 1)))
        with pytest.raises(BadInput, match="takes other inputs: got picture"):
            session.bind({"picture": image(1, 8, 8, 1)})
        before = dict(capturing.device.held)
        with pytest.raises(OutOfMemory):
            session.bind(image(1, 32, 32, 1))
        assert capturing.device.held.keys() == before.keys()
        assert session.bind(image(1, 8, 8, 1)).outputs()[0].shape == (1, 8, 8, 1)
