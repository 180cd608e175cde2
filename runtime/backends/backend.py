"""Define what a session asks of a library."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from numpy.typing import NDArray

from ..devices import Device, DeviceArray, DeviceView

__all__ = ["Backend", "BoundRun", "DeviceBackend"]


class BoundRun(Protocol):
    """Run a network on inputs that lie where it computes; made by `Session.bind`.

    A context manager, for one thread at a time.

    Attributes:
        device: the GPU that it runs on, whose events can time it; None where there are none.
        stream: of the runs, on that GPU.
    """

    device: Device | None
    stream: int

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None: ...

    def launch(self) -> None:
        """Begin a run; on a GPU return before it is done."""

    def wait(self) -> None:
        """Return when every run that was launched is done."""

    def outputs(self) -> Sequence[NDArray[Any]]:
        """Return the outputs of the last run, copied to host memory."""

    def close(self) -> None:
        """Free what was bound."""


class Backend(Protocol):
    """Run one opened network, from several threads at once.

    Each backend's file has `open_backend(artifact, spec)`, and for "auto" `WHY` one would take it
    and `obstacle(artifact, spec)`: why not here, or None.
    """

    @property
    def info(self) -> dict[str, Any]:
        """Return the library, its version, the device, and the types it computes in."""

    def check(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Raise ShapeError where inputs of `shapes` cannot be run."""

    def run(self, arrays: tuple[NDArray[Any], ...]) -> tuple[NDArray[Any], ...]:
        """Map inputs that were checked to the outputs, both in the artifact's order."""

    def bind(self, arrays: tuple[NDArray[Any], ...]) -> BoundRun:
        """Put inputs that were checked in place, to be run many times."""

    def close(self) -> None:
        """Free everything."""


@runtime_checkable
class DeviceBackend(Protocol):
    """Run on inputs that lie on the GPU, and leave the outputs there."""

    def run_on_device(self, views: tuple[DeviceView, ...]) -> tuple[DeviceArray, ...]:
        """Map inputs that were checked to the outputs, both in the artifact's order."""
