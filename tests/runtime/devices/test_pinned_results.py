import gc

import numpy as np
import pytest

from tests.fakes.device import FakeDevice
from unetrt.errors import OutOfMemory
from unetrt.runtime.devices import memory as pinned_results
from unetrt.runtime.devices import memory as spare_blocks
from unetrt.runtime.devices.memory import PinnedResults

FLOAT = np.dtype("float32")


@pytest.fixture
def device():
    fake = FakeDevice()
    with fake.current():
        yield fake


def pinned(device):
    return sorted(array.nbytes for (kind, _), array in device.held.items() if kind == "pinned")


def test_an_array_is_written_where_the_device_pinned_it(device):
    results = PinnedResults(device)
    array = results.array((2, 3), FLOAT)
    assert (array.shape, array.dtype, array.flags.writeable) == ((2, 3), FLOAT, True)
    (block,) = (held for (kind, _), held in device.held.items() if kind == "pinned")
    array[:] = 7
    assert (block.view(FLOAT) == 7).all()


def test_it_is_used_again_once_nothing_refers_to_it_views_included(device):
    results = PinnedResults(device)
    first = results.array((2, 3), FLOAT)
    address = first.ctypes.data
    row = first[1].view(np.uint8)
    del first
    gc.collect()
    second = results.array((2, 3), FLOAT)
    assert second.ctypes.data != address
    del row
    gc.collect()
    assert results.array((3, 2), FLOAT).ctypes.data == address
    assert pinned(device) == [24, 24]


def test_who_keeps_many_gets_no_more_pinned_ones(device, monkeypatch):
    monkeypatch.setattr(pinned_results, "_MOST_HELD", 3)
    results = PinnedResults(device)
    kept = [results.array((4,), FLOAT) for _ in range(5)]
    assert [array is None for array in kept] == [False] * 3 + [True] * 2
    kept.pop(0)
    assert results.array((4,), FLOAT) is not None
    assert results.array((1 << 27,), FLOAT) is None  # 512 MiB


def test_without_room_there_is_none(device, monkeypatch):
    def refuse(_nbytes):
        raise OutOfMemory("No room")

    monkeypatch.setattr(device, "allocate_pinned", refuse)
    assert PinnedResults(device).array((4,), FLOAT) is None


def test_sizes_that_nobody_asks_for_any_more_are_given_back(device, monkeypatch):
    monkeypatch.setattr(spare_blocks, "_MOST_SPARE_BYTES", 100)
    results = PinnedResults(device)
    for side in range(1, 40):
        results.array((side,), FLOAT)
    assert sum(pinned(device)) <= 100 + 40 * 4


def test_after_close_what_is_let_go_is_freed(device):
    results = PinnedResults(device)
    kept, spare = results.array((4,), FLOAT), results.array((8,), FLOAT)
    del spare
    results.close()
    assert pinned(device) == [16]
    kept[:] = 1
    del kept
    assert pinned(device) == []
