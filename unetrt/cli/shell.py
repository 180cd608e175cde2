"""What every subcommand does the same way: results, errors, exit status."""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

from unetrt.errors import UnetrtError

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["AsJson", "emit", "escaped", "figure", "first_failure", "guarded", "interval", "table"]

P = ParamSpec("P")
T = TypeVar("T")

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
                _print_json(failure | error.result)
            _complain(f"[bold red]error:[/] {escaped(str(error))}")
            raise typer.Exit(error.exit_status) from None
        except KeyboardInterrupt:
            _complain("interrupted; what was finished is kept")
            raise typer.Exit(_INTERRUPTED) from None

    return run


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
    shown: list[Table | str],
    failure: UnetrtError | None = None,
) -> None:
    """Print `result` as one JSON document, or what is `shown` of it to a person, on stdout.

    With a `failure`, the document is the error's, with `result` in it; then the error is raised.
    """
    if as_json:
        if failure is None:
            _print_json(result)
            return
        failure.result = {"result": result}
        raise failure
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for part in shown:
        console.print(escaped(part) if isinstance(part, str) else part)
    if failure is not None:
        raise failure


def table(title: str, columns: list[str], rows: list[list[str]]) -> Table:
    """Return a table with its first column to the left and the others to the right."""
    from rich.table import Table

    drawn = Table(title=escaped(title), title_justify="left")
    for index, column in enumerate(columns):
        drawn.add_column(
            escaped(column), justify="left" if index == 0 else "right", overflow="fold"
        )
    for row in rows:
        drawn.add_row(*map(escaped, row))
    return drawn


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number for a table, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(low: float | None, high: float | None) -> str:
    """Return "0.950 to 1.050", or "unknown" where there is none or it has no bounds."""
    known = low is not None and high is not None and math.isfinite(high)
    return f"{low:.3f} to {high:.3f}" if known else "unknown"


def _complain(line: str) -> None:
    from rich.console import Console

    Console(stderr=True, highlight=False, soft_wrap=True).print(line)


def escaped(text: str) -> str:
    """Return text as Rich prints it to the letter: paths and class names may hold brackets."""
    from rich.markup import escape

    return escape(text)


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(_finite(document), indent=1, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """Return the value with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
