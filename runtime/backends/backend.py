"""What a session asks of a library."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from ..bound_run import BoundRun
from ..devices import DeviceArray, DeviceView

__all__ = ["Backend", "DeviceBackend"]


class Backend(Protocol):
    """One opened network, which several threads may run at once.

    Each backend's file has `open_backend(artifact, spec)`, and for "auto" `WHY` one would take it
    and `obstacle(artifact, spec)`: why not here, or None.
    """

    @property
    def info(self) -> dict[str, Any]:
        """The library, its version, the device, and what is computed in."""

    def check(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Raise ShapeError where inputs of `shapes` cannot be run."""

    def run(self, arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        """Map inputs that were checked to the outputs, both in the artifact's order."""

    def bind(self, arrays: tuple[NDArray[Any], ...]) -> BoundRun:
        """Put inputs that were checked in place, to be run many times."""

    def close(self) -> None:
        """Give back everything."""


@runtime_checkable
class DeviceBackend(Protocol):
    """A backend that takes inputs where they lie on the GPU, and leaves its outputs there."""

    def run_on_device(self, views: tuple[DeviceView, ...]) -> tuple[DeviceArray, ...]:
        """Map inputs that were checked to the outputs, both in the artifact's order."""
