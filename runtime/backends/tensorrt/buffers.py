"""The memory that a context's inputs and outputs lie in, on the GPU and on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...devices import Device

__all__ = ["Buffers"]


class Buffers:
    """One block on the GPU and one of pinned host memory for each tensor; they only grow.

    Attributes:
        addresses: of the blocks on the GPU.
        hosts: the blocks on the host, as bytes.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self.addresses: list[int] = []
        self.hosts: list[NDArray[np.uint8]] = []

    def fit(self, sizes: Sequence[int]) -> bool:
        """Have room for `sizes` bytes of each tensor; return whether anything has moved.

        Raises:
            OutOfMemory: there are no buffers then.
        """
        held = [host.nbytes for host in self.hosts] or [0] * len(sizes)
        if all(size <= room for size, room in zip(sizes, held, strict=True)):
            return False
        largest = [max(pair) for pair in zip(sizes, held, strict=True)]
        self.free()
        try:
            for size in largest:
                self.addresses.append(self._device.allocate(size))
                self.hosts.append(self._device.allocate_pinned(size))
        except BaseException:
            self.free()
            raise
        return True

    def free(self) -> None:
        """Give all of it back."""
        while self.hosts:
            self._device.free_pinned(self.hosts.pop())
        while self.addresses:
            self._device.free(self.addresses.pop())
