"""A network whose inputs and outputs lie where it computes: what is timed as its core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from numpy.typing import NDArray

__all__ = ["BoundRun", "Stages"]


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
