"""What every subcommand does the same way: results, errors, exit status."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

from unetrt.errors import UnetrtError

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["AsJson", "emit", "figure", "guarded", "table"]

P = ParamSpec("P")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")]

_INTERRUPTED = 130


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Turn an error into one sentence and its exit status: 1 a check failed, 2 bad input."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except UnetrtError as error:
            if kwargs.get("as_json"):
                failure = {"error": str(error), "type": type(error).__name__}
                sys.stdout.write(json.dumps(failure) + "\n")
            _complain(f"[bold red]error:[/] {_escaped(error)}")
            raise typer.Exit(error.exit_status) from None
        except KeyboardInterrupt:
            _complain("interrupted; what was finished is kept")
            raise typer.Exit(_INTERRUPTED) from None

    return run


def emit(result: dict[str, Any], *, as_json: bool, shown: list[Table | str]) -> None:
    """Print `result` as JSON, or what is `shown` of it to a person, on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for part in shown:
        console.print(part)


def table(title: str, columns: list[str], rows: list[list[str]]) -> Table:
    """Return a table with its first column to the left and the others to the right."""
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        drawn.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    return drawn


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number for a table, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def _complain(line: str) -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(line)


def _escaped(error: UnetrtError) -> str:
    return str(error).replace("[", r"\[")
