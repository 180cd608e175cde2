"""The layer over cuda-python: which calls it makes, and what it says when one fails."""

import numpy as np
import pytest

from tests.fakes.cudart import FakeCudart, Status
from tests.fakes.tensorrt_runtime import A10
from unetrt.errors import NoDevice, OutOfMemory
from unetrt.gpu import find_gpu
from unetrt.runtime.devices import cuda_python


@pytest.fixture
def cudart(monkeypatch):
    fake = FakeCudart()
    monkeypatch.setattr(cuda_python.vendor, "cuda_runtime", lambda: fake)
    monkeypatch.setattr(cuda_python, "find_gpu", lambda: A10)
    return fake


@pytest.fixture
def device(cudart):
    opened = cuda_python.open_device()
    cudart.calls.clear()
    return opened


def test_memory(cudart, device):
    assert device.name == "NVIDIA A10"
    assert device.layer.startswith("cuda-python")
    assert device.memory() == (300, 1000)
    address = device.allocate(64)
    device.free(address)
    pinned = device.allocate_pinned(16)
    pinned[:] = np.arange(16)
    assert (pinned.dtype, pinned.flags.writeable) == (np.uint8, True)
    assert bytes(cudart.host[0]) == bytes(range(16))
    device.free_pinned(pinned)
    assert cudart.calls[1:] == [
        ("cudaMalloc", 64),
        ("cudaFree", address),
        ("cudaMallocHost", 16),
        ("cudaFreeHost", pinned.ctypes.data),
    ]


def test_copies_are_in_stream_order(cudart, device):
    stream, array = device.open_stream(), np.zeros((2, 3), np.float32)
    device.copy_in(4096, array, stream)
    device.copy_out(array, 4096, stream)
    device.synchronize(stream)
    device.close_stream(stream)
    here = array.ctypes.data
    assert cudart.calls == [
        ("cudaStreamCreateWithFlags", 1),  # or it would wait for the default stream
        ("cudaMemcpyAsync", 4096, here, 24, "in", stream),
        ("cudaMemcpyAsync", here, 4096, 24, "out", stream),
        ("cudaStreamSynchronize", stream),
        ("cudaStreamDestroy", stream),
    ]


def test_a_stream_follows_another_by_an_event(cudart, device):
    device.follow(7, 42)
    event = cudart.calls[1][1]
    assert cudart.calls == [
        ("cudaEventCreateWithFlags", 2),
        ("cudaEventRecord", event, 42),
        ("cudaStreamWaitEvent", 7, event, 0),
        ("cudaEventDestroy", event),
    ]
    cudart.fails["cudaEventRecord"] = Status.cudaErrorInvalidValue
    with pytest.raises(NoDevice, match="cudaErrorInvalidValue: it said"):
        device.follow(7, 42)
    assert cudart.names()[-1] == "cudaEventDestroy"


def test_events_keep_time(cudart, device):
    start, end = device.open_event(), device.open_event()
    device.record(start, 7)
    device.record(end, 7)
    assert device.elapsed_ns(start, end) == 1_500_000
    device.close_event(start)
    assert cudart.calls[-2:] == [("cudaEventElapsedTime", start, end), ("cudaEventDestroy", start)]


def test_a_graph_is_captured_by_this_thread_alone(cudart, device):
    device.begin_capture(7)
    graph = device.end_capture(7)
    device.launch(graph, 9)
    device.close_graph(graph)
    (kept,) = (call[1] for call in cudart.calls if call[0] == "cudaGraphDestroy")
    assert cudart.calls == [
        ("cudaStreamBeginCapture", 7, "thread"),
        ("cudaStreamEndCapture", 7),
        ("cudaGraphInstantiate", kept, 0),
        ("cudaGraphDestroy", kept),
        ("cudaGraphLaunch", graph, 9),
        ("cudaGraphExecDestroy", graph),
    ]


def test_a_graph_that_cannot_be_made_leaves_nothing_behind(cudart, device):
    cudart.fails["cudaGraphInstantiate"] = Status.cudaErrorMemoryAllocation
    with pytest.raises(NoDevice, match="A CUDA call failed: got cudaErrorMemoryAllocation"):
        device.end_capture(7)
    assert cudart.names()[-1] == "cudaGraphDestroy"
    cudart.fails["cudaStreamEndCapture"] = Status.cudaErrorStreamCaptureInvalidated
    with pytest.raises(NoDevice, match="CaptureInvalidated"):
        device.end_capture(7)


def test_out_of_memory_names_the_bytes_and_the_next_step(cudart, device):
    cudart.fails["cudaMalloc"] = Status.cudaErrorMemoryAllocation
    expected = r"allocate 640 bytes on NVIDIA A10: got 300 free of 1000; run a smaller batch or s"
    with pytest.raises(OutOfMemory, match=expected):
        device.allocate(640)
    assert "cudaGetLastError" in cudart.names()  # the error is not left for TensorRT to find
    cudart.fails["cudaMallocHost"] = Status.cudaErrorMemoryAllocation
    with pytest.raises(OutOfMemory, match="allocate 64 bytes of pinned memory on the host"):
        device.allocate_pinned(64)
    cudart.fails.clear()
    assert device.allocate(640)


@pytest.mark.parametrize(
    ("kind", "ordinal", "status", "ours", "pinned"),
    [
        (2, 0, 0, True, False),
        (3, 0, 0, True, False),
        (2, 1, 0, False, False),  # another GPU's
        (1, 0, 0, False, True),
        (0, -2, 0, False, False),  # any host memory
        (2, 0, Status.cudaErrorInvalidValue, False, False),
        (1, 0, Status.cudaErrorInvalidValue, False, False),
    ],
)
def test_memory_is_told_apart(cudart, device, kind, ordinal, status, ours, pinned):
    cudart.pointer.type, cudart.pointer.device = kind, ordinal
    if status:
        cudart.fails["cudaPointerGetAttributes"] = status
    assert (device.holds(4096), device.pins(4096)) == (ours, pinned)
    assert ("cudaGetLastError",) in cudart.calls or not status


def test_a_thread_on_another_gpu_is_brought_here_and_back(cudart, device):
    cudart.device = 1
    with pytest.raises(ZeroDivisionError), device.current():
        assert cudart.device == 0
        raise ZeroDivisionError
    assert cudart.device == 1
    cudart.device = 0
    cudart.calls.clear()
    with device.current():
        pass
    assert cudart.names() == ["cudaGetDevice"]


@pytest.mark.parametrize("status", [Status.cudaErrorInsufficientDriver, Status.cudaErrorNoDevice])
def test_without_a_driver_the_sentence_says_what_to_do(cudart, status):
    cudart.fails["cudaGetDeviceCount"] = status
    with pytest.raises(NoDevice, match=f"got {status.name}.*; install an NVIDIA driver, or run"):
        cuda_python.open_device()


def test_the_functions_are_those_of_the_real_binding():
    runtime = pytest.importorskip("cuda.bindings.runtime")
    for name, taken in FakeCudart.takes.items():
        signature = getattr(runtime, name).__doc__.splitlines()[0]
        arguments = signature.partition("(")[2].rpartition(")")[0]
        assert len([argument for argument in arguments.split(",") if argument]) == taken, signature


@pytest.mark.skipif(find_gpu() is not None, reason="there is a GPU")
def test_the_real_binding_says_that_there_is_no_driver():
    pytest.importorskip("cuda.bindings.runtime")
    with pytest.raises(NoDevice, match="InsufficientDriver"):
        cuda_python.open_device()
