"""Report progress: not at all, or on stderr with the time it takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ConsoleProgress", "Progress"]

_PLAIN_INTERVAL_S = 10.0


class Progress:
    """Hear what a verb does and for how long, and keep quiet about it.

    Override `say`, `tick` and `begin` to show it.

    Attributes:
        seconds: that each named step took.

    >>> class Loud(Progress):
    ...     def say(self, line):
    ...         print(line)
    >>> progress = Loud()
    >>> with progress.step("read", "Reading"):
    ...     progress.say("two files")
    two files
    >>> list(progress.seconds)
    ['read']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._step_began = time.monotonic()

    def say(self, line: str) -> None:
        """Take a line that is to be kept."""

    def tick(self, line: str) -> None:
        """Take a line on how far the step is, which the next one replaces."""

    @contextmanager
    def begin(self, title: str) -> Iterator[None]:  # noqa: ARG002  (for those that show it)
        """Surround a step."""
        yield

    @property
    def step_s(self) -> float:
        """Return the seconds since the step began."""
        return time.monotonic() - self._step_began

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """Run a named step and add its duration to `seconds[name]`.

        Args:
            name: key of `seconds`; several steps may share it.
            title: what is being done, for a person.
        """
        self._step_began = time.monotonic()
        with self.begin(title):
            yield
        self.seconds[name] = self.seconds.get(name, 0.0) + self.step_s


class ConsoleProgress(Progress):
    """Show progress on stderr: a live line on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  (only what shows progress pays for it)

        super().__init__()
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._live: Any = None
        self._title = ""
        self._began = time.monotonic()
        self._said = 0.0

    def say(self, line: str) -> None:
        """Print a line, stamped with the seconds since the start."""
        from rich.markup import escape  # noqa: PLC0415

        self._said = time.monotonic() - self._began
        self._console.print(f"[dim]{self._said:7.1f} s[/]  {escape(line)}")

    def tick(self, line: str) -> None:
        """Show how far the step is: at once on a terminal, every ten seconds elsewhere."""
        if self._live is not None:
            self._live.update(self._live.task_ids[0], description=f"{self._title}: {line}")
        elif time.monotonic() - self._began - self._said >= _PLAIN_INTERVAL_S:
            self.say(line)

    @contextmanager
    def begin(self, title: str) -> Iterator[None]:
        """Show a step while it runs, and the time it took."""
        self._title = title
        if self._console.is_terminal:
            yield from self._on_a_terminal(title)
        else:
            self.say(f"{title} ...")
            yield
        self.say(f"{title}: done in {self.step_s:.1f} s")

    def _on_a_terminal(self, title: str) -> Iterator[None]:
        from rich import progress  # noqa: PLC0415

        columns = (
            progress.SpinnerColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.description}", markup=False),
        )
        with progress.Progress(*columns, console=self._console, transient=True) as live:
            live.add_task(title, total=None)
            self._live = live
            try:
                yield
            finally:
                self._live = None
