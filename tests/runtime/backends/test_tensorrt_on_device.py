"""Arrays that live on the GPU: without a copy, in order, and what is refused."""

import gc

import numpy as np
import pytest

from tests.fakes.tensorrt_runtime import CudaArray
from unetrt.errors import BadInput, OutOfMemory, ShapeError
from unetrt.runtime import open_session
from unetrt.runtime.devices import DeviceArray

COPIES = {"in", "out"}


def image(*shape, dtype=np.float32):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.fixture
def session(capturing):
    with open_session(capturing.engine()) as opened:
        yield opened
    assert capturing.contexts == 0


def test_nothing_is_copied_and_nothing_allocated_after_the_first(capturing, session):
    x = image(1, 8, 16, 1)
    put = capturing.put(x)
    y = session.run(put)
    assert isinstance(y, DeviceArray)
    assert (y.shape, y.dtype, y.stream) == (x.shape, x.dtype, None)
    np.testing.assert_array_equal(capturing.get(y), x)
    del y
    gc.collect()
    capturing.forget()
    np.testing.assert_array_equal(session.run(put).numpy(), x)
    assert capturing.device.done[1:] == ["execute", "synchronize", "out", "synchronize"]
    (stream,) = (handle for kind, handle in capturing.device.held if kind == "stream")
    # torch names no stream, and whoever held the first result may still read it in this one.
    assert capturing.device.done[0] == f"{stream} follows 1"


def test_a_result_that_is_held_keeps_its_memory(capturing, session):
    x, other = image(1, 8, 8, 1), image(1, 8, 8, 1) + 1
    first = session.run(capturing.put(x))
    second = session.run(capturing.put(other))
    assert first.address != second.address
    np.testing.assert_array_equal(capturing.get(first), x)
    np.testing.assert_array_equal(capturing.get(second), other)


def test_a_result_goes_into_the_next_run(capturing, session):
    x = image(1, 8, 8, 1)
    again = session.run(session.run(capturing.put(x)))
    np.testing.assert_array_equal(again.numpy(), x)


def test_a_result_outlives_its_session_and_is_freed_when_dropped(capturing):
    with open_session(capturing.engine()) as session:
        x = image(1, 8, 8, 1)
        put, y = capturing.put(x), None
        y = session.run(put)
    np.testing.assert_array_equal(capturing.get(y), x)
    ours = ("memory", y.address)
    assert ours in capturing.device.held
    del y
    gc.collect()
    assert ours not in capturing.device.held


def test_host_and_device_runs_take_turns_in_one_context(capturing, session):
    x = image(1, 8, 8, 1)
    put = capturing.put(x + 1)
    for _ in range(4):
        np.testing.assert_array_equal(session.run(x), x)
        np.testing.assert_array_equal(session.run(put).numpy(), x + 1)
    assert capturing.device.done.count("capture") == 1
    assert session.info["contexts"] == 1


def test_inputs_and_outputs_by_name(capturing):
    capturing.types = {"image": "uint8", "mask": "float32", "sum": "float32", "labels": "uint8"}
    a, b = image(2, 8, 8, 1, dtype=np.uint8), image(2, 8, 8, 1)
    with open_session(capturing.engine()) as session:
        answers = session.run({"mask": capturing.put(b), "image": capturing.put(a)})
        np.testing.assert_array_equal(answers["sum"].numpy(), a + b)
        np.testing.assert_array_equal(answers["labels"].numpy(), (a + b)[..., 0] > 100)
        with pytest.raises(BadInput, match="some inputs from the host and some from a GPU"):
            session.run({"mask": b, "image": capturing.put(a)})


@pytest.mark.parametrize("version", [2, 3])
def test_the_producers_stream_is_waited_for_by_an_event(capturing, session, version):
    x = image(1, 8, 8, 1)
    put = capturing.put(x)
    put.__cuda_array_interface__ |= {"version": version} | ({"stream": 42} if version == 3 else {})
    capturing.forget()
    session.run(put)
    (stream,) = (handle for kind, handle in capturing.device.held if kind == "stream")
    follows = [f"{stream} follows 1", f"{stream} follows 42"][: version - 1]
    assert capturing.device.done == ["allocate", *follows, "execute", "synchronize"]


def test_in_an_outside_stream_nothing_waits_and_the_result_says_where_it_is_written(capturing):
    x = image(1, 8, 8, 1)
    opened = capturing.open(stream=55)
    put = capturing.put(x)
    put.__cuda_array_interface__ |= {"stream": 55}
    capturing.forget()
    from unetrt.runtime.devices import view_of

    (y,) = opened.run_on_device((view_of(put),))
    assert capturing.device.done == ["allocate", "55 follows 1", "execute"]
    assert y.__cuda_array_interface__["stream"] == 55
    capturing.forget()
    np.testing.assert_array_equal(opened.run((x,))[0], x)
    assert "synchronize" in capturing.device.done  # what goes to the host is waited for
    opened.close()


def test_an_outside_stream_is_launched_in_never_captured(capturing, monkeypatch):
    opened, x = capturing.open(stream=55), image(1, 8, 8, 1)
    captured, launched = [], []
    device = capturing.device
    begin, launch = device.begin_capture, device.launch
    monkeypatch.setattr(device, "begin_capture", lambda s: (captured.append(s), begin(s)))
    monkeypatch.setattr(device, "launch", lambda g, s: (launched.append(s), launch(g, s)))
    for _ in range(3):
        np.testing.assert_array_equal(opened.run((x,))[0], x)
    assert 55 not in captured
    assert (len(captured), launched) == (1, [55, 55])
    opened.close()


def refused(session, array, error, words):
    with pytest.raises(error, match=words):
        session.run(array)


def test_what_is_refused_leaves_the_session_usable(capturing, session):
    x = image(1, 8, 8, 1)
    good = capturing.put(x)
    address = good.__cuda_array_interface__["data"][0]
    session.run(good)
    host_pointer = CudaArray(x.ctypes.data, x)
    refused(session, host_pointer, BadInput, "of input 'image' is not on this GPU: got 0x.*fake")
    transposed = CudaArray(address, x, strides=(256, 4, 32, 4))
    refused(session, transposed, ShapeError, r"not contiguous: got strides \(256, 4, 32, 4\), exp")
    wrong = CudaArray(address, x.astype(np.int32))
    refused(session, wrong, ShapeError, r"does not fit: got int32\[1, 8, 8, 1\], expected float32")
    swapped = CudaArray(address, x.astype(">f4"))
    refused(session, swapped, ShapeError, r"got >f4\[1, 8, 8, 1\]")
    shifted = CudaArray(address + 4, x)
    refused(session, shifted, ShapeError, "not aligned: got 0x.*4 bytes past.*copy it first")
    masked = CudaArray(address, x, mask=object())
    refused(session, masked, BadInput, "array with a mask")
    too_large = capturing.put(image(1, 40, 8, 1))
    refused(session, too_large, ShapeError, "not built for this size")
    refused(session, [[1.0]], BadInput, "Cannot take this input: got a list, expected a NumPy")
    np.testing.assert_array_equal(session.run(good).numpy(), x)
    np.testing.assert_array_equal(session.run(x), x)


def test_strides_that_mean_nothing_are_no_matter(capturing, session):
    """PyCUDA and torch state strides always, and for axes of one element anything."""
    x = image(1, 8, 8, 1)
    address = capturing.put(x).__cuda_array_interface__["data"][0]
    stated = CudaArray(address, x, strides=(999, 32, 4, 7))
    np.testing.assert_array_equal(session.run(stated).numpy(), x)


def test_out_of_memory_for_a_result_takes_what_is_spare_first(capturing, session):
    small, large = (capturing.put(image(1, side, side, 1)) for side in (8, 32))
    used = capturing.device._used()
    capturing.device.room = used + 4096
    session.run(small)  # its result is dropped, and spare: 256 bytes
    gc.collect()
    kept = session.run(large)
    with pytest.raises(OutOfMemory, match=r"allocate 4096 bytes on the fake: got 0 free"):
        session.run(large)
    del kept
    gc.collect()
    assert session.run(small).shape == (1, 8, 8, 1)


def test_a_closed_session_says_so_for_device_arrays_too(capturing):
    with open_session(capturing.engine()) as session:
        put = capturing.put(image(1, 8, 8, 1))
        session.run(put)
    with pytest.raises(BadInput, match="The session is closed"):
        session.run(put)


def test_the_interface_of_a_result_is_version_3(capturing, session):
    y = session.run(capturing.put(image(1, 8, 8, 1)))
    assert y.__cuda_array_interface__ == {
        "shape": (1, 8, 8, 1),
        "typestr": "<f4",
        "data": (y.address, False),
        "strides": None,
        "stream": None,
        "version": 3,
    }
    assert y.__dlpack_device__() == (2, 0)
    assert repr(y).startswith("DeviceArray(shape=(1, 8, 8, 1), dtype=float32, address=0x")
