from types import SimpleNamespace

import numpy as np
import pytest

from tests.fakes.device import FakeDevice
from unetrt.errors import BadInput, MissingDependency, ShapeError
from unetrt.runtime.devices import DeviceArray, is_on_device, view_of
from unetrt.runtime.devices import arrays as device_view


class OnlyDlpack:
    """As JAX's arrays."""

    def __init__(self, kind=2):
        self.kind = kind

    def __dlpack_device__(self):
        return self.kind, 0


def views(monkeypatch, **fields):
    asked = []

    def from_dlpack(array, stream):
        asked.append((array, stream))
        return SimpleNamespace(**fields)

    core = SimpleNamespace(StridedMemoryView=SimpleNamespace(from_dlpack=from_dlpack))
    monkeypatch.setattr(device_view.vendor, "cuda_core_views", lambda: core)
    return asked


def test_dlpack_comes_through_cuda_core_ordered_by_the_default_stream(monkeypatch):
    array = OnlyDlpack()
    asked = views(monkeypatch, ptr=4096, shape=(2, 3), strides=(3, 1), dtype=np.dtype("float16"))
    view = view_of(array)
    assert (view.address, view.shape, view.dtype, view.stream) == (4096, (2, 3), np.float16, 1)
    assert asked == [(array, 1)]
    assert view.owner.ptr == 4096  # the view holds the capsule
    views(monkeypatch, ptr=4096, shape=(2, 3), strides=None, dtype=np.dtype("uint8"))
    assert view_of(array).shape == (2, 3)


def test_dlpack_that_is_not_contiguous_or_not_a_number_numpy_knows(monkeypatch):
    views(monkeypatch, ptr=4096, shape=(2, 3), strides=(1, 2), dtype=np.dtype("float16"))
    with pytest.raises(ShapeError, match=r"OnlyDlpack on the GPU is not contiguous: got strides"):
        view_of(OnlyDlpack())
    views(monkeypatch, ptr=4096, shape=(2,), strides=(1,), dtype=None)
    with pytest.raises(BadInput, match="NumPy has no such type"):
        view_of(OnlyDlpack())


def test_dlpack_without_cuda_core_names_the_extra(monkeypatch):
    def missing():
        raise MissingDependency("cuda", extra="gpu", purpose="Sharing GPU memory by DLPack")

    monkeypatch.setattr(device_view.vendor, "cuda_core_views", missing)
    with pytest.raises(MissingDependency, match=r"pip install 'unetrt\[gpu\]'"):
        view_of(OnlyDlpack())


def test_what_is_not_on_a_gpu():
    for array in (np.zeros(3), OnlyDlpack(kind=1), [1.0], None):
        assert not is_on_device(array)
    with pytest.raises(
        BadInput, match="got a OnlyDlpack, expected a NumPy array, or one on the GP"
    ):
        view_of(OnlyDlpack(kind=1))


def test_a_result_is_handed_over_by_dlpack_once_its_stream_is_followed(monkeypatch):
    made = []
    views = SimpleNamespace(
        StridedMemoryView=SimpleNamespace(
            from_buffer=lambda buffer, shape, dtype: SimpleNamespace(
                __dlpack__=lambda **options: made.append((buffer, shape, dtype, options))
            )
        )
    )
    core = SimpleNamespace(
        Buffer=SimpleNamespace(from_handle=lambda address, size, owner: (address, size, owner))
    )
    monkeypatch.setattr("unetrt.runtime.devices.arrays.vendor.cuda_core", lambda: core)
    monkeypatch.setattr("unetrt.runtime.devices.arrays.vendor.cuda_core_views", lambda: views)
    device, dtype = FakeDevice(), np.dtype("float32")
    written = DeviceArray(device, 4096, (2, 3), dtype, None)
    written.__dlpack__(stream=9, max_version=(1, 0))
    assert made == [((4096, 24, written), (2, 3), dtype, {"stream": -1, "max_version": (1, 0)})]
    assert device.done == []
    pending = DeviceArray(device, 4096, (2, 3), dtype, 55)
    for stream in (9, None, -1):
        pending.__dlpack__(stream=stream)
    assert device.done == ["9 follows 55", "1 follows 55"]


def test_the_default_stream_is_number_one_in_the_interface():
    array = DeviceArray(FakeDevice(), 4096, (2,), np.dtype("uint8"), 0)
    assert array.__cuda_array_interface__["stream"] == 1
