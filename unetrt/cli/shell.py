"""What every subcommand does the same way: results, errors, exit status."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from unetrt.errors import BadInput, UnetrtError

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["AsJson", "emit", "escaped", "figure", "first_failure", "interval", "reported", "table"]

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")]

_INTERRUPTED = 130


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """Turn an error of the block into one sentence and an exit status.

    1 where a check failed, 2 for bad input. With `as_json`, also into a JSON document on stdout.
    """
    try:
        yield
    except UnetrtError as error:
        _report(str(error), type(error).__name__, error.result if as_json else None)
        raise typer.Exit(error.exit_status) from None
    except typer.BadParameter as error:
        if "Missing" in type(error).__name__:
            raise  # Click shows the usage
        _report(error.format_message(), BadInput.__name__, {} if as_json else None)
        raise typer.Exit(BadInput.exit_status) from None
    except KeyboardInterrupt:
        _complain("interrupted; what was finished is kept")
        raise typer.Exit(_INTERRUPTED) from None


def _report(sentence: str, kind: str, result: dict[str, Any] | None) -> None:
    if result is not None:
        _print_json({"error": sentence, "type": kind} | result)
    _complain(f"[bold red]error:[/] {escaped(sentence)}")


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
