"""CUDA graphs of launches, for as long as they can be captured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from unetrt.errors import ArtifactError, NoDevice

from ...devices import Device

__all__ = ["Graphs"]


class Graphs:
    """Captures launches of an engine's contexts; gives it up for all once one is refused.

    Attributes:
        strategy: how launches are made, for people.
        refused: why no graph is captured; None where it is.
    """

    def __init__(self, device: Device, *, library_captures: bool) -> None:
        self._device = device
        self._captures = not library_captures
        self.strategy = "captured by the library" if library_captures else "captured per shape"
        self.refused: str | None = None

    def captured(self, stream: int, enqueue: Callable[[int], None]) -> int | None:
        """Return a graph of what `enqueue` gives the stream, or None where there shall be none."""
        if not self._captures:
            return None
        try:
            self._device.begin_capture(stream)
            try:
                enqueue(stream)
            except BaseException:
                with suppress(NoDevice):  # the capture must end, and says no more than we know
                    self._device.close_graph(self._device.end_capture(stream))
                raise
            return self._device.end_capture(stream)
        except (NoDevice, ArtifactError) as error:
            self._captures = False
            self.strategy, self.refused = "none", str(error)
            return None

    @property
    def info(self) -> dict[str, str]:
        """What a session's info says of them."""
        said = {"cuda_graph": self.strategy}
        return said if self.refused is None else {**said, "cuda_graph_refused": self.refused}
