"""Print the result of a subcommand: tables and sentences for a person, or one JSON document."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unetrt.cli.shell import print_json, translated
from unetrt.errors import UnetrtError
from unetrt.progress import ConsoleProgress

__all__ = ["ShownProgress", "emit", "figure", "first_failure", "interval", "table"]

T = TypeVar("T")


class ShownProgress(ConsoleProgress):
    """Show progress on stderr, the library's arguments as options."""

    def say(self, line: str) -> None:
        """Print a line."""
        super().say(translated(line))


def first_failure(check: Callable[[T], None], things: Iterable[T]) -> UnetrtError | None:
    """Return the error of the first of `things` that `check` refuses, or None."""
    for thing in things:
        try:
            check(thing)
        except UnetrtError as error:
            return error
    return None


def emit(
    result: dict[str, Any],
    *,
    as_json: bool,
    shown: Sequence[Table | str],
    failure: UnetrtError | None = None,
) -> None:
    """Print `result` as one JSON document, or what is `shown` of it to a person, on stdout.

    With a `failure`, the document is the error's, with `result` in it; then the error is raised.
    """
    if as_json:
        if failure is None:
            print_json(result)
            return
        failure.result = {"result": result}
        raise failure
    console = Console(highlight=False, soft_wrap=True)
    for part in shown:
        console.print(escape(part) if isinstance(part, str) else part)
    if failure is not None:
        raise failure


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table with its first column to the left and the others to the right."""
    drawn = Table(title=escape(title), title_justify="left")
    for index, column in enumerate(columns):
        drawn.add_column(escape(column), justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*map(escape, row))
    return drawn


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number for a table, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None) -> str:
    """Return "0.950 to 1.050", or "unknown" where there is none or it has no bounds."""
    known = low is not None and high is not None and math.isfinite(high)
    return f"{low:.3f} to {high:.3f}" if known else "unknown"
