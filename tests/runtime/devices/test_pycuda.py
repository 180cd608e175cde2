"""The layer over PyCUDA and the driver: contexts, memory, what goes by handle."""

import numpy as np
import pytest

from tests.fakes.pycuda import FakeLibcuda, FakePyCuda
from unetrt.errors import NoDevice, OutOfMemory
from unetrt.gpu import find_gpu
from unetrt.runtime.devices import pycuda
from unetrt.runtime.devices.pycuda import Driver


@pytest.fixture
def libcuda():
    return FakeLibcuda()


@pytest.fixture
def cuda():
    return FakePyCuda()


@pytest.fixture
def device(monkeypatch, cuda, libcuda):
    monkeypatch.setattr(pycuda.vendor, "pycuda_driver", lambda: cuda)
    monkeypatch.setattr(pycuda, "Driver", lambda: Driver(libcuda))
    return pycuda.open_device()


def test_it_works_in_the_primary_context_and_leaves_none_behind(cuda, device):
    """PyCUDA aborts the process where a thread ends with a context."""
    assert "retain_primary_context" in cuda.calls
    assert cuda.Context.stack == []
    with device.current():
        (context,) = cuda.Context.stack
        with device.current():
            assert cuda.Context.stack == [context]
    assert cuda.Context.stack == []
    with pytest.raises(ZeroDivisionError), device.current():
        raise ZeroDivisionError
    assert cuda.Context.stack == []


def test_it_works_in_the_callers_own_context_where_there_is_one(monkeypatch, libcuda):
    """That of pycuda.autoinit is not the primary one: the caller's arrays are in it alone."""
    cuda = FakePyCuda(autoinit=True)
    monkeypatch.setattr(pycuda.vendor, "pycuda_driver", lambda: cuda)
    monkeypatch.setattr(pycuda, "Driver", lambda: Driver(libcuda))
    device = pycuda.open_device()
    assert "retain_primary_context" not in cuda.calls
    with device.current():
        assert cuda.Context.stack == ["made by the caller"]


def test_memory(cuda, device):
    cuda.calls.clear()
    with device.current():
        assert device.memory() == (300, 1000)
        address = device.allocate(64)
        device.free(address)
        pinned = device.allocate_pinned(16)
        assert (pinned.shape, pinned.dtype) == ((16,), np.uint8)
        device.free_pinned(pinned)
    assert cuda.calls == ["mem_get_info", "mem_alloc(64)", "free", "pagelocked_empty(16)", "free"]
    assert device.name == "NVIDIA A10"
    assert device.layer.startswith("pycuda")


def test_out_of_memory_names_the_bytes_and_the_next_step(cuda, device):
    cuda.full = True
    with device.current():
        with pytest.raises(OutOfMemory, match=r"640 bytes on NVIDIA A10: got 300 free of 1000; ru"):
            device.allocate(640)
        with pytest.raises(OutOfMemory, match="64 bytes of pinned memory on the host"):
            device.allocate_pinned(64)
        cuda.full = False
        assert device.allocate(640)


def test_streams_are_pycudas_and_closed_in_their_context(cuda, device):
    with device.current():
        stream = device.open_stream()
        assert cuda.calls[-1] == "Stream(1)"
        device.close_stream(stream)
    assert cuda.calls[-1] == "~Stream"


def test_copies_go_to_any_stream_by_its_handle(libcuda, device):
    array = np.zeros((2, 3), np.float32)
    device.copy_in(4096, array, 55)
    device.copy_out(array, 4096, 55)
    device.synchronize(55)
    here = array.ctypes.data
    assert libcuda.calls == [
        ("cuMemcpyHtoDAsync_v2", 4096, here, 24, 55),
        ("cuMemcpyDtoHAsync_v2", here, 4096, 24, 55),
        ("cuStreamSynchronize", 55),
    ]


def test_a_stream_follows_another_by_an_event(libcuda, device):
    device.follow(7, 42)
    (event,) = (call[1] for call in libcuda.calls if call[0] == "cuEventDestroy_v2")
    assert libcuda.calls == [
        ("cuEventCreate", 2),
        ("cuEventRecord", event, 42),
        ("cuStreamWaitEvent", 7, event, 0),
        ("cuEventDestroy_v2", event),
    ]


def test_events_keep_time(libcuda, device):
    start, end = device.open_event(), device.open_event()
    device.record(start, 7)
    assert device.elapsed_ns(start, end) == 1_500_000
    device.close_event(end)
    assert libcuda.calls[0] == ("cuEventCreate", 0)


def test_graphs_come_from_the_driver(libcuda, device):
    device.begin_capture(7)
    graph = device.end_capture(7)
    device.launch(graph, 9)
    device.close_graph(graph)
    (kept,) = (call[1] for call in libcuda.calls if call[0] == "cuGraphDestroy")
    assert libcuda.calls == [
        ("cuStreamBeginCapture_v2", 7, 1),
        ("cuStreamEndCapture", 7),
        ("cuGraphInstantiateWithFlags", kept, 0),
        ("cuGraphDestroy", kept),
        ("cuGraphLaunch", graph, 9),
        ("cuGraphExecDestroy", graph),
    ]
    libcuda.fails["cuStreamEndCapture"] = 901
    with pytest.raises(
        NoDevice, match="got CUDA_ERROR_STREAM_CAPTURE_INVALIDATED from cuStreamEnd"
    ):
        device.end_capture(7)


@pytest.mark.parametrize(
    ("pointer", "ours", "pinned"),
    [((2, 0), True, False), ((2, 1), False, False), ((1, 0), False, True)],
)
def test_memory_is_told_apart(libcuda, device, pointer, ours, pinned):
    libcuda.pointer = pointer
    assert (device.holds(4096), device.pins(4096)) == (ours, pinned)
    libcuda.fails["cuPointerGetAttribute"] = 1
    assert (device.holds(4096), device.pins(4096)) == (False, False)


def test_a_pycuda_without_a_gpu_says_so(monkeypatch, cuda, libcuda):
    def init():
        raise cuda.Error("cuInit failed: no CUDA-capable device is detected")

    monkeypatch.setattr(cuda, "init", init)
    monkeypatch.setattr(pycuda.vendor, "pycuda_driver", lambda: cuda)
    monkeypatch.setattr(pycuda, "Driver", lambda: Driver(libcuda))
    with pytest.raises(NoDevice, match="PyCUDA cannot open a GPU: got cuInit failed: no CUDA"):
        pycuda.open_device()


@pytest.mark.skipif(find_gpu() is not None, reason="there is a GPU")
def test_without_a_driver_the_sentence_says_what_to_do():
    with pytest.raises(NoDevice, match=r"no NVIDIA driver: got libcuda.so.1.*install one, or run"):
        Driver()
