"""A world of a fake TensorRT and a fake GPU."""

import pytest

from tests.fakes.tensorrt_runtime import A10, RTX, World
from unetrt.runtime.backends import tensorrt as backend


@pytest.fixture
def world_of(monkeypatch, tmp_path):
    """Make a world of a version; the backend opens engines in it."""

    def make(version=RTX, gpu=A10):
        world = World(tmp_path, version)
        monkeypatch.setattr(backend, "find_gpu", lambda: gpu)
        monkeypatch.setattr(backend, "open_device", lambda _wanted: world.device)
        monkeypatch.setattr(backend.vendor, "tensorrt", lambda _name: world.trt)
        return world

    monkeypatch.setenv("UNETRT_CACHE", str(tmp_path / "cache"))
    return make


@pytest.fixture
def world(world_of):
    """TensorRT-RTX, which captures its graphs by itself."""
    return world_of()


@pytest.fixture
def capturing(world_of):
    """TensorRT, whose graphs we capture."""
    return world_of("tensorrt 11.4.0.106")
