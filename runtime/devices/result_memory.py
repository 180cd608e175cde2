"""Device memory of results that callers hold."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from .device import LEGACY_STREAM, Device
from .device_array import DeviceArray
from .spare_blocks import SpareBlocks

__all__ = ["ResultMemory"]


class ResultMemory:
    """Gives out DeviceArrays, whose memory comes back once nothing refers to them."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._blocks = SpareBlocks(device.allocate, device.free, device.current)

    def array(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], stream: int, *, pending: bool
    ) -> DeviceArray:
        """Return an array to be written in stream order.

        `pending`: the caller gets it before it is written.

        Raises:
            OutOfMemory: also without what was spare there is no room.
        """
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        address, held_before = self._blocks.take(nbytes)
        array = DeviceArray(self._device, address, shape, dtype, stream if pending else None)
        weakref.finalize(array, self._blocks.let_go, nbytes, address).atexit = False
        if held_before:
            # Whoever held it may have work on it under way, most likely in the default stream.
            self._device.follow(stream, LEGACY_STREAM)
        return array

    def close(self) -> None:
        """Free what is spare; what callers still hold is freed when they let go."""
        self._blocks.close()
