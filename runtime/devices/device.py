"""What an engine asks of a GPU binding."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

__all__ = ["Device"]


class Device(Protocol):
    """One GPU and one stream on it. Addresses are integers; every copy is on the stream."""

    @property
    def name(self) -> str:
        """The GPU's name."""

    @property
    def stream(self) -> int:
        """The stream's handle."""

    def allocate(self, nbytes: int) -> int:
        """Return the address of new device memory."""

    def free(self, address: int) -> None:
        """Give device memory back."""

    def copy_in(self, address: int, array: NDArray[Any]) -> None:
        """Copy a contiguous host array to the device, in stream order."""

    def copy_out(self, array: NDArray[Any], address: int) -> None:
        """Copy device memory into a contiguous host array, in stream order."""

    def synchronize(self) -> None:
        """Wait until the stream has done all it was given."""

    def close(self) -> None:
        """Give the stream back."""
