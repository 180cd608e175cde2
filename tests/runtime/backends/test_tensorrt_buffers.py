import pytest

from tests.fakes.device import FakeDevice
from unetrt.errors import OutOfMemory
from unetrt.runtime.backends.tensorrt.context import Buffers


def test_each_tensors_buffer_grows_to_the_largest_it_has_held():
    device = FakeDevice()
    buffers = Buffers(device)
    with device.current():
        assert buffers.fit([100, 10])
        assert buffers.fit([10, 100])
        assert not buffers.fit([100, 100])
        assert [host.nbytes for host in buffers.hosts] == [100, 100]
        buffers.free()
    assert device.held == {}


def test_without_room_for_all_there_are_none():
    device = FakeDevice(room=150)
    buffers = Buffers(device)
    with device.current():
        assert buffers.fit([10, 10])
        with pytest.raises(OutOfMemory, match="allocate 100 bytes on the fake: got 50 free of 150"):
            buffers.fit([100, 100])
        assert device.held == {}
        assert buffers.fit([10, 10])
        buffers.free()
