"""Define what a session asks of a library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from numpy.typing import NDArray

from ..devices import DeviceArray, DeviceView

__all__ = ["Backend", "BoundRun", "DeviceBackend", "Stages"]


@dataclass(frozen=True, slots=True)
class Stages:
    """One run from host memory to host memory, each stage by the clock that sees it.

    Attributes:
        host_ns: from the call to the answer in host memory, by the host's clock.
        enqueue_ns: what the call takes of the host until everything is launched.
        copy_in_ns, compute_ns, copy_out_ns: on the device, by its events; None on a CPU, which
            copies nothing.
    """

    host_ns: int
    enqueue_ns: int | None = None
    copy_in_ns: int | None = None
    compute_ns: int | None = None
    copy_out_ns: int | None = None


class BoundRun(Protocol):
    """Made by `Session.bind(inputs)`; a context manager of one thread."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None: ...

    def launch(self) -> None:
        """Begin a run on the inputs in place; where a GPU computes, return before it is done."""

    def wait(self) -> None:
        """Return when every run that was launched is done."""

    def compute_ns(self) -> int | None:
        """Launch, wait, and return the device's time by its events; None on a CPU."""

    def stages(self) -> Stages:
        """Run once from host memory to host memory, and time each stage."""

    def outputs(self) -> Sequence[NDArray[Any]]:
        """Return the answers of the last run, copied to host memory."""

    def close(self) -> None:
        """Give back what was bound."""


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
