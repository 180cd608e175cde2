"""Device memory of results that callers hold."""

from __future__ import annotations

import weakref
from math import prod
from typing import Any

import numpy as np

from .device import Device
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
        """Return an array to be written in a stream, which must follow the default one first.

        Whoever held its memory before may have work on it under way there. `pending`: the caller
        gets it before it is written.

        Raises:
            OutOfMemory: also without what was spare there is no room.
        """
        nbytes = prod(shape) * dtype.itemsize
        address = self._blocks.take(nbytes)
        array = DeviceArray(self._device, address, shape, dtype, stream if pending else None)
        weakref.finalize(array, self._blocks.let_go, nbytes, address).atexit = False
        return array

    def close(self) -> None:
        """Free what is spare; what callers still hold is freed when they let go."""
        self._blocks.close()
