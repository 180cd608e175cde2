"""Blocks of memory that callers hold, used again once they let go."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from unetrt.errors import OutOfMemory

__all__ = ["SpareBlocks"]

T = TypeVar("T")

_MOST_SPARE_BYTES = 256 << 20


class SpareBlocks(Generic[T]):
    """Blocks by their size: after the first ones of a size none are allocated.

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
        """Return a block, which somebody may have held before.

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
        """Take a block back; from now on, where the blocks are closed, free it."""
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
