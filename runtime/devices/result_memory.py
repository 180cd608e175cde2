"""Device memory of results that callers hold, used again once they let go."""

from __future__ import annotations

import weakref
from collections import defaultdict, deque
from typing import Any

import numpy as np

from unetrt.errors import OutOfMemory

from .device import LEGACY_STREAM, Device
from .device_array import DeviceArray

__all__ = ["ResultMemory"]


class ResultMemory:
    """Gives out DeviceArrays; after the first ones of a size it allocates no more."""

    def __init__(self, device: Device) -> None:
        self._device = device
        # Let go by the garbage collector, which may run inside any of our own lines: no lock.
        self._spare: defaultdict[int, deque[int]] = defaultdict(deque)
        self._closed = False

    def array(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], stream: int, *, pending: bool
    ) -> DeviceArray:
        """Return an array to be written in stream order.

        `pending`: the caller gets it before it is written.

        Raises:
            OutOfMemory: also without what was spare there is no room.
        """
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        address = self._taken(nbytes, stream)
        array = DeviceArray(self._device, address, shape, dtype, stream if pending else None)
        weakref.finalize(array, self._let_go, nbytes, address).atexit = False
        return array

    def close(self) -> None:
        """Free what is spare; what callers still hold is freed when they let go."""
        self._closed = True
        self._free_spare()

    def _taken(self, nbytes: int, stream: int) -> int:
        try:
            address = self._spare[nbytes].pop()
        except IndexError:
            try:
                return self._device.allocate(nbytes)
            except OutOfMemory:
                self._free_spare()
                return self._device.allocate(nbytes)
        # Whoever held it last may have work on it under way, most likely in the default stream.
        self._device.follow(stream, LEGACY_STREAM)
        return address

    def _let_go(self, nbytes: int, address: int) -> None:
        self._spare[nbytes].append(address)
        if self._closed:
            with self._device.current():
                self._free_spare()

    def _free_spare(self) -> None:
        for addresses in list(self._spare.values()):
            while addresses:
                self._device.free(addresses.pop())
