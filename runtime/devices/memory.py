"""Lend memory to results that callers hold, and use it again once they let go."""

from __future__ import annotations

import weakref
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import OutOfMemory

from .arrays import DeviceArray
from .device import Device

__all__ = ["PinnedResults", "ResultMemory"]

T = TypeVar("T")

_MOST_SPARE_BYTES = 256 << 20


class SpareBlocks(Generic[T]):
    """Keep spare blocks by their size: after the first ones of a size none are allocated.

    They are let go by the garbage collector, which may run inside any line of ours: no lock is
    held anywhere, and each step is one operation of a deque.
    """

    def __init__(
        self,
        allocate: Callable[[int], T],
        free: Callable[[T], None],
        current: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._allocate, self._free, self._current = allocate, free, current
        self._spare: defaultdict[int, deque[T]] = defaultdict(deque)
        self._closed = False

    def take(self, nbytes: int) -> T:
        """Return a block, new or used before.

        Raises:
            OutOfMemory: also without what was spare there is no room.
        """
        try:
            return self._spare[nbytes].pop()
        except IndexError:
            pass
        if self._bytes() > _MOST_SPARE_BYTES:  # of sizes that nobody asks for any more
            self._free_spare()
        try:
            return self._allocate(nbytes)
        except OutOfMemory:
            self._free_spare()
            return self._allocate(nbytes)

    def let_go(self, nbytes: int, block: T) -> None:
        """Take a block back; free it where the blocks are closed."""
        self._spare[nbytes].append(block)
        if self._closed:
            with self._current():
                self._free_spare()

    def close(self) -> None:
        """Free what is spare; what callers still hold is freed when they let go."""
        self._closed = True
        self._free_spare()

    def _bytes(self) -> int:
        return sum(nbytes * len(blocks) for nbytes, blocks in list(self._spare.items()))

    def _free_spare(self) -> None:
        for blocks in list(self._spare.values()):
            while True:
                try:
                    block = blocks.pop()
                except IndexError:
                    break
                self._free(block)


_MOST_HELD_BYTES, _MOST_HELD = 256 << 20, 64
"""Pinned memory is the whole machine's: who keeps more results than this gets ordinary copies."""


class PinnedResults:
    """Lend NumPy arrays in pinned memory, which comes back once nothing refers to them."""

    def __init__(self, device: Device) -> None:
        self._blocks = SpareBlocks(device.allocate_pinned, device.free_pinned, device.current)
        self._held: dict[int, int] = {}
        self._numbers = count()

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
        """Return an array to be written; None where callers hold too much, or no room is left."""
        nbytes = prod(shape) * dtype.itemsize
        held = list(self._held.values())
        if len(held) >= _MOST_HELD or sum(held) + nbytes > _MOST_HELD_BYTES:
            return None
        try:
            block = self._blocks.take(nbytes)
        except OutOfMemory:
            return None
        holder = _Holder(block, shape, dtype)
        number = next(self._numbers)
        self._held[number] = nbytes
        weakref.finalize(holder, self._let_go, number, nbytes, block).atexit = False
        return np.asarray(holder)

    def close(self) -> None:
        """Free what is spare; what callers still hold is freed when they let go."""
        self._blocks.close()

    def _let_go(self, number: int, nbytes: int, block: NDArray[np.uint8]) -> None:
        del self._held[number]
        self._blocks.let_go(nbytes, block)


class _Holder:
    """Own the memory of an array and all its views: NumPy's `base` skips arrays in between."""

    __slots__ = ("__array_interface__", "__weakref__")

    def __init__(
        self, block: NDArray[np.uint8], shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.__array_interface__ = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (block.ctypes.data, False),
            "version": 3,
        }


class ResultMemory:
    """Lend DeviceArrays, whose memory comes back once nothing refers to them."""

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
