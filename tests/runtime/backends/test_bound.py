"""Runs whose tensors are in place give what Session.run gives."""

import numpy as np
import pytest

from unetrt.errors import BadInput
from unetrt.runtime import SessionSpec, open_session

pytestmark = pytest.mark.tf


@pytest.fixture(params=["onnxruntime", "openvino"])
def session(request, road):
    pytest.importorskip(request.param)
    with open_session(road / "model.fp32.onnx", SessionSpec(backend=request.param)) as opened:
        yield opened


@pytest.fixture
def x():
    return np.random.default_rng(0).integers(0, 255, (2, 32, 48, 1)).astype(np.float32)


def test_a_bound_run_gives_what_run_gives(session, x):
    expected = session.run(x)
    with session._backend.bind((x,)) as bound:
        x[:] = 0  # it has its own copy
        for _ in range(3):
            bound.launch()
        bound.wait()
        (output,) = bound.outputs()
        assert bound.device is None
    np.testing.assert_array_equal(output, expected)


def test_outputs_are_copies(session, x):
    with session._backend.bind((x,)) as bound:
        bound.launch()
        (first,) = bound.outputs()
        kept = first.copy()
        first[:] = -1
        (again,) = bound.outputs()
    np.testing.assert_array_equal(again, kept)


def test_two_bound_runs_and_the_session_do_not_meet(session, x):
    other = x[:, ::-1].copy()
    expected = session.run(x), session.run(other)
    with session._backend.bind((x,)) as one, session._backend.bind((other,)) as two:
        one.launch()
        two.launch()
        session.run(np.zeros_like(x))
        np.testing.assert_array_equal(one.outputs()[0], expected[0])
        np.testing.assert_array_equal(two.outputs()[0], expected[1])


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_number_that_is_none_is_refused_where_it_is_checked(road, backend, wrong, x):
    good = x.copy()
    x[1, 2, 3, 0] = x[1, 9, 9, 0] = wrong
    path = road / "model.fp32.onnx"
    with open_session(path, SessionSpec(backend=backend, check_finite=True)) as session:
        expected = session.run(good)
        words = rf"'image' holds numbers .*: got {wrong} at \[1, 2, 3, 0\], and 1 more"
        with pytest.raises(BadInput, match=words):
            session.run(x)
        np.testing.assert_array_equal(session.run(good), expected)
    with open_session(path, SessionSpec(backend=backend)) as session:
        session.run(x)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_session_stays_usable_after_each_mistake(road, backend, x):
    with open_session(road / "model.fp32.onnx", SessionSpec(backend=backend)) as session:
        expected = session.run(x)
        mistakes = [
            lambda: session.run(x[0]),
            lambda: session.run(x.astype(np.float64)),
            lambda: session.run(x.transpose(0, 3, 1, 2)),
            lambda: session.run(x[:, :31]),
            lambda: session.run({"picture": x}),
            lambda: session.segment(x[0, :, :, 0]),
            lambda: session.segment(np.zeros((8, 8, 3))),
        ]
        for mistake in mistakes:
            with pytest.raises(BadInput, match="got "):
                mistake()
            np.testing.assert_array_equal(session.run(x), expected)
    for closed in (lambda: session.run(x), lambda: session.segment(x[0])):
        with pytest.raises(BadInput, match="The session is closed"):
            closed()
