"""What is closed at the end of its `with` block."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["Closing"]


class Closing:
    """A context manager of itself, for a class that has a `close`."""

    __slots__ = ()

    def close(self) -> None:
        """Give back what it holds."""
        raise TypeError(f"{type(self).__name__} has nothing to close")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()
