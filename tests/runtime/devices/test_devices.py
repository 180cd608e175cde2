from types import SimpleNamespace

import pytest

from unetrt.errors import BadInput, MissingDependency
from unetrt.runtime import devices
from unetrt.runtime.devices import open_device, stream_handle


@pytest.mark.parametrize(
    ("wanted", "installed", "opened"),
    [
        ("auto", {"pycuda", "cuda.bindings"}, "cuda_python"),
        ("auto", {"pycuda"}, "pycuda"),
        ("auto", set(), "cuda_python"),
        ("pycuda", {"cuda.bindings"}, "pycuda"),
        ("cuda-python", {"pycuda"}, "cuda_python"),
    ],
)
def test_the_layer_asked_for_or_what_is_installed(monkeypatch, wanted, installed, opened):
    monkeypatch.setattr(devices.vendor, "installed", installed.__contains__)
    from unetrt.runtime.devices import cuda_python, pycuda

    for module in (cuda_python, pycuda):
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, "open_device", lambda name=name: name)
    assert open_device(wanted) == opened


def test_there_are_two_layers():
    with pytest.raises(
        BadInput, match="no such device layer: got 'cupy', expected auto or cuda-py"
    ):
        open_device("cupy")


def test_a_layer_that_is_not_installed_names_its_extra():
    if devices.vendor.installed("pycuda"):
        pytest.skip("PyCUDA is installed")
    with pytest.raises(MissingDependency, match=r"pip install 'unetrt\[pycuda\]'"):
        open_device("pycuda")


@pytest.mark.parametrize(
    "stream",
    [
        55,
        SimpleNamespace(__cuda_stream__=lambda: (0, 55)),
        SimpleNamespace(__cuda_stream__=(0, 55)),  # as some early ones have it
        SimpleNamespace(handle=55),
        SimpleNamespace(ptr=55),
        SimpleNamespace(cuda_stream=55),
    ],
)
def test_a_stream_by_its_handle(stream):
    assert stream_handle(stream) == 55


@pytest.mark.parametrize(
    "stream", ["main", -1, True, 1.0, SimpleNamespace(__cuda_stream__=lambda: (7, 55))]
)
def test_what_is_no_stream(stream):
    with pytest.raises(BadInput, match="Cannot tell the CUDA stream: got .*expected its handle"):
        stream_handle(stream)
