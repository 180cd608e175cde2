"""Progress with elapsed time, on stderr: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import progress
from rich.console import Console
from rich.markup import escape

__all__ = ["Progress"]

_PLAIN_INTERVAL_S = 10.0


class Progress:
    """Says what is being done and for how long; keeps the seconds each step took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._live: progress.Progress | None = None
        self._title = ""
        self._began = self._step_began = time.monotonic()
        self._said = 0.0

    def say(self, line: str) -> None:
        """Print a line, stamped with the seconds since the start."""
        self._said = self._elapsed()
        self._console.print(f"[dim]{self._said:7.1f} s[/]  {escape(line)}")

    def tick(self, line: str) -> None:
        """Show how far the step is: at once on a terminal, every ten seconds elsewhere."""
        if self._live is not None:
            self._live.update(self._live.task_ids[0], description=escape(f"{self._title}: {line}"))
        elif self._elapsed() - self._said >= _PLAIN_INTERVAL_S:
            self.say(line)

    @property
    def step_s(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._step_began

    @contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """Run a named step and add its duration to `seconds[name]`."""
        began = self._step_began = time.monotonic()
        self._title = title
        with self._shown(title):
            yield
        spent = time.monotonic() - began
        self.seconds[name] = self.seconds.get(name, 0.0) + spent
        self.say(f"{title}: done in {spent:.1f} s")

    @contextmanager
    def _shown(self, title: str) -> Iterator[None]:
        if not self._console.is_terminal:
            self.say(f"{title} ...")
            yield
            return
        columns = (
            progress.SpinnerColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.description}"),
        )
        with progress.Progress(*columns, console=self._console, transient=True) as live:
            live.add_task(escape(title), total=None)
            self._live = live
            try:
                yield
            finally:
                self._live = None

    def _elapsed(self) -> float:
        return time.monotonic() - self._began
