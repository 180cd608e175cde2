"""Execution contexts for as many threads as run at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from unetrt.errors import BadInput, OutOfMemory

from .execution_context import ExecutionContext

__all__ = ["ContextPool"]


class ContextPool:
    """Makes a context when all are at work, up to `most`, or up to what the memory holds.

    Attributes:
        made: how many there are.
        most: how many there may be.
    """

    def __init__(self, make: Callable[[], ExecutionContext], most: int) -> None:
        self._make = make
        self._idle = [make()]
        self._changed = Condition()
        self._closed = False
        self.made = 1
        self.most = most

    @contextmanager
    def context(self, shapes: tuple[tuple[int, ...], ...]) -> Iterator[ExecutionContext]:
        """Hold a context, one that is set up for `shapes` if there is one.

        Raises:
            BadInput: the pool is closed.
        """
        taken = self._taken(shapes)
        try:
            yield taken
        finally:
            with self._changed:
                self._idle.append(taken)
                self._changed.notify()

    def close(self) -> None:
        """Wait for the contexts at work, then close all."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            while len(self._idle) < self.made:
                self._changed.wait()
            while self._idle:
                self._idle.pop().close()
            self.made = 0

    def _taken(self, shapes: tuple[tuple[int, ...], ...]) -> ExecutionContext:
        while True:
            with self._changed:
                while not self._idle and self.made == self.most and not self._closed:
                    self._changed.wait()
                if self._closed:
                    raise BadInput("The session is closed", hint="open it again with open_session")
                if self._idle:
                    ready = (n for n, idle in enumerate(self._idle) if idle.shapes == shapes)
                    return self._idle.pop(next(ready, -1))
                self.made += 1
            try:
                return self._make()
            except OutOfMemory:
                with self._changed:
                    # The others work: no more are made, and this thread waits its turn.
                    self.made -= 1
                    self.most = self.made
                    self._changed.notify_all()
            except BaseException:
                with self._changed:
                    self.made -= 1
                    self._changed.notify_all()
                raise
