"""Host results that the GPU writes where callers get them: no copy from a buffer to an array."""

from __future__ import annotations

import weakref
from itertools import count
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.errors import OutOfMemory

from .device import Device
from .spare_blocks import SpareBlocks

__all__ = ["PinnedResults"]

_MOST_HELD_BYTES, _MOST_HELD = 256 << 20, 64
"""Pinned memory is the whole machine's: who keeps more results than this gets ordinary copies."""


class PinnedResults:
    """Gives out NumPy arrays in pinned memory, which comes back once nothing refers to them."""

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
    """What an array and all views of it refer to; NumPy would leave out an array in between."""

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
