"""Progress with elapsed time: a live line on a terminal, plain lines elsewhere, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status

__all__ = ["Progress"]


class Progress:
    """Says what is being done and for how long; keeps the seconds each step took."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._console = Console(file=sys.stderr, quiet=quiet, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._started = time.monotonic()
        self._ticked = 0.0

    def say(self, line: str) -> None:
        """Print a line, stamped with the time since the start."""
        self._console.print(f"[dim]{self._elapsed():7.1f} s[/]  {escape(line)}")

    def tick(self, line: str) -> None:
        """Show how far a step is: at once on a terminal, at most every ten seconds elsewhere."""
        if self._status is not None:
            self._status.update(f"{self._elapsed():7.1f} s  {escape(line)}")
        elif self._elapsed() - self._ticked >= 10:  # noqa: PLR2004
            self._ticked = self._elapsed()
            self.say(line)

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """Run a named step, adding its duration to `seconds[name]`."""
        began = time.monotonic()
        self._ticked = self._elapsed()
        if self._console.is_terminal and not self._console.quiet:
            with self._console.status(escape(title)) as self._status:
                try:
                    yield
                finally:
                    self._status = None
        else:
            self.say(f"{title} ...")
            yield
        spent = time.monotonic() - began
        self.seconds[name] = self.seconds.get(name, 0.0) + spent
        self.say(f"{title}: done in {spent:.1f} s")

    def _elapsed(self) -> float:
        return time.monotonic() - self._started
