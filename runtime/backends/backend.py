"""What a session asks of a library."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Backend"]


class Backend(Protocol):
    """One opened network; each backend's file has an `open_backend(artifact, threads)`."""

    @property
    def info(self) -> dict[str, Any]:
        """The library, its version, and the device."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ShapeError where an input of `shape` cannot be run; allocate what it needs."""

    def run(self, x_nhwc: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map an input that was checked to the output."""

    def close(self) -> None:
        """Give back everything."""
