"""The TensorRT backend over a fake library and a fake device: the order of its calls.

The fake has no member that TensorRT's Python API lacks in any version we support.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from unetrt.artifacts import Engine
from unetrt.errors import ArtifactError, NoDevice, ShapeError
from unetrt.gpu import Gpu
from unetrt.runtime import open_session
from unetrt.runtime.backends import tensorrt as backend
from unetrt.tensors import TensorSpec

SURFACES = json.loads((Path(__file__).parent / "tensorrt_surfaces.json").read_text())


class FakeDevice:
    """Device memory is a dict of NumPy arrays by address; the stream is a list of what it did."""

    name, stream = "fake", 7

    def __init__(self):
        self.memory, self.done, self.closed = {}, [], False

    def allocate(self, nbytes):
        address = 1000 + len(self.done)
        self.memory[address] = np.zeros(nbytes, np.uint8)
        self.done.append("allocate")
        return address

    def free(self, address):
        del self.memory[address]

    def copy_in(self, address, array):
        self.memory[address][:] = array.view(np.uint8).ravel()
        self.done.append("in")

    def copy_out(self, array, address):
        array.view(np.uint8).reshape(-1)[:] = self.memory[address]
        self.done.append("out")

    def synchronize(self):
        self.done.append("synchronize")

    def close(self):
        self.closed = True


class FakeContext:
    def __init__(self, device):
        self._device, self._addresses, self._shape = device, {}, None

    def set_input_shape(self, name, shape):
        assert name == "image"
        self._shape = shape
        return True

    def get_tensor_shape(self, name):
        assert name == "probabilities"
        return (*self._shape[:3], 2)

    def set_tensor_address(self, name, address):
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        """Answer with the pixels and one minus the pixels."""
        assert stream == self._device.stream
        memory = self._device.memory
        x = memory[self._addresses["image"]].view(np.float32)
        memory[self._addresses["probabilities"]][:] = (
            np.stack([x, 1 - x], axis=-1).view(np.uint8).ravel()
        )
        self._device.done.append("execute")
        return True


class FakeEngine:
    def __init__(self, device):
        self._device = device

    def create_execution_context(self):
        return FakeContext(self._device)

    def get_tensor_profile_shape(self, name, index):
        assert (name, index) == ("image", 0)
        return [(1, 8, 8, 1), (1, 16, 16, 1), (4, 32, 32, 1)]


def fake_trt(device, *, refuses=False):
    class FakeRuntime:
        def __init__(self, logger):
            pass

        def deserialize_cuda_engine(self, plan):
            assert plan == b"plan"
            return None if refuses else FakeEngine(device)

    class FakeLogger:
        ERROR = 1

        def __init__(self, severity):
            pass

    class FakeLibrary:
        __version__ = "1.7.1"
        Runtime, Logger = FakeRuntime, FakeLogger

    return FakeLibrary


@pytest.fixture
def device(monkeypatch):
    fake = FakeDevice()
    monkeypatch.setattr(backend, "find_gpu", lambda: Gpu("fake", "9.0", "13.0"))
    monkeypatch.setattr(backend, "open_device", lambda: fake)
    monkeypatch.setattr(backend.vendor, "tensorrt", lambda _name: fake_trt(fake))
    return fake


@pytest.fixture
def engine(tmp_path):
    path = tmp_path / "m.engine"
    path.write_bytes(b"plan")
    return Engine(
        path=path,
        sha256="",
        size_multiple=8,
        inputs=(TensorSpec("image", "float32", ("batch", "height", "width", 1)),),
        outputs=(TensorSpec("probabilities", "float32", ("batch", "height", "width", 2)),),
        backend="tensorrt-rtx",
        backend_version="1.7.1",
    )


def test_run_copies_in_launches_copies_out_and_waits(device, engine):
    x = np.random.default_rng(0).random((1, 8, 16, 1)).astype(np.float32)
    with open_session(engine) as session:
        y = session.run(x)
        np.testing.assert_allclose(y, np.concatenate([x, 1 - x], axis=-1))
        device.done.clear()
        session.run(x)
        assert device.done == ["in", "execute", "out", "synchronize"]  # and nothing allocated


def test_memory_follows_the_shape_and_is_all_given_back(device, engine):
    with open_session(engine) as session:
        for side in (8, 32, 16):
            session.run(np.zeros((1, side, side, 1), np.float32))
            assert sum(array.nbytes for array in device.memory.values()) == side * side * 4 * 3
    assert (device.memory, device.closed) == ({}, True)


def test_a_size_outside_the_profile_is_refused(device, engine):
    with open_session(engine) as session:
        with pytest.raises(ShapeError, match=r"not built for this size: got \(1, 40, 8, 1\)"):
            session.run(np.zeros((1, 40, 8, 1), np.float32))
        assert session.run(np.zeros((1, 8, 8, 1), np.float32)).shape == (1, 8, 8, 2)


def test_out_of_memory_leaves_the_session_usable(device, engine, monkeypatch):
    with open_session(engine) as session:
        good = np.zeros((1, 8, 8, 1), np.float32)
        session.run(good)
        allocate = device.allocate

        def refuse(_nbytes):
            raise NoDevice("A CUDA call failed", got="cudaErrorMemoryAllocation")

        monkeypatch.setattr(device, "allocate", refuse)
        with pytest.raises(NoDevice, match="MemoryAllocation"):
            session.run(np.zeros((1, 32, 32, 1), np.float32))
        monkeypatch.setattr(device, "allocate", allocate)
        assert session.run(good).shape == (1, 8, 8, 2)


def test_an_engine_of_another_version_is_refused_before_it_is_read(device, engine, monkeypatch):
    import dataclasses

    older = dataclasses.replace(engine, backend_version="1.6.0")
    monkeypatch.setattr(Path, "read_bytes", None)
    with pytest.raises(ArtifactError, match=r"got 1.6.0, expected 1.7.1.*do not cross versions"):
        open_session(older)


def test_an_engine_the_library_refuses_names_the_gpu(device, engine, monkeypatch):
    monkeypatch.setattr(backend.vendor, "tensorrt", lambda _name: fake_trt(device, refuses=True))
    with pytest.raises(NoDevice, match=r"refuses .*m.engine: got .*fake.*build the engine again"):
        open_session(engine)
    assert device.closed


@pytest.mark.parametrize("version", sorted(SURFACES))
@pytest.mark.parametrize(
    ("cls", "fake"),
    [
        ("IExecutionContext", FakeContext),
        ("ICudaEngine", FakeEngine),
        ("Runtime", fake_trt(None).Runtime),
    ],
)
def test_every_member_the_backend_calls_exists_in_every_version(version, cls, fake):
    called = {name for name in vars(fake) if not name.startswith("_")}
    assert called
    assert called <= set(SURFACES[version][cls])
