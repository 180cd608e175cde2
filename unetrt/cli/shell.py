"""Report errors and exit statuses, the same way for every subcommand."""

from __future__ import annotations

import ast
import json
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from unetrt.errors import BadInput, UnetrtError

__all__ = ["AsJson", "option_of", "print_json", "refuse_options", "reported", "translated"]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and nothing else.")]

_INTERRUPTED = 130

_OPTIONS = {
    "hardware_compatibility": "--hardware-compatible",
    "height": "--size",
    "memory_bytes": "--memory",
    "optimization_level": "--level",
    "start": "--from",
    "targets": "--target",
    "width": "--size",
    "workspace_bytes": "--workspace",
}
"""Arguments of the library whose options have another name than theirs."""

_ARGUMENTS = (
    "backend", "batch", "data", "images", "keep", "layout", "opset", "out", "outputs", "percentile",
    "pixels", "precision", "probabilities", "rate", "refittable", "rest", "restart",
    "samples", "scope", "seed", "size", "stripped", "tiling", "version_compatible",
)  # fmt: skip
"""Arguments of the library whose options have their name."""

_ARGUMENT = re.compile(r"`(\w+)(?:=([^`]*))?`")


def option_of(argument: str) -> str | None:
    """Return the option of an argument of the library; None where there is none.

    >>> option_of("version_compatible"), option_of("workspace_bytes"), option_of("classes")
    ('--version-compatible', '--workspace', None)
    """
    own = f"--{argument.replace('_', '-')}" if argument in _ARGUMENTS else None
    return _OPTIONS.get(argument, own)


def translated(sentence: str) -> str:
    """Return what the library says with options in the place of its arguments.

    The library writes its arguments between backticks, with a value where one is wanted.

    >>> translated("build it with `refittable=True` or `backend='tensorrt-rtx'`, see `Session`")
    'build it with --refittable or --backend tensorrt-rtx, see `Session`'
    >>> translated("convert it again with `keep=('up1', 'logits')`")
    'convert it again with --keep up1 --keep logits'
    """

    def option(found: re.Match[str]) -> str:
        name, value = option_of(found[1]), found[2]
        if name is None:
            return found[0]
        if value in (None, "True"):
            return name
        values = ast.literal_eval(value) if value.startswith("(") else (value.strip("'"),)
        return " ".join(f"{name} {own}" for own in values)

    return _ARGUMENT.sub(option, sentence)


@contextmanager
def reported(*, as_json: bool) -> Iterator[None]:
    """Turn an error of the block into one sentence and an exit status.

    1 where a check failed, 2 for bad input. With `as_json`, also into a JSON document on stdout.
    """
    try:
        yield
    except UnetrtError as error:
        _report(translated(str(error)), type(error).__name__, error.result if as_json else None)
        raise typer.Exit(error.exit_status) from None
    except typer.BadParameter as error:
        if "Missing" in type(error).__name__:
            raise  # Click shows the usage
        # Typer's own word, which tells nobody anything.
        sentence = error.format_message().replace("Value error, ", "")
        _report(sentence, BadInput.__name__, {} if as_json else None)
        raise typer.Exit(BadInput.exit_status) from None
    except KeyboardInterrupt:
        typer.echo("interrupted; what was finished is kept", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def refuse_options(who: str, **given: object) -> None:
    """Refuse options that were given where they mean nothing.

    Args:
        who: what takes none of them, for the error.
        given: the options' values by the names of their parameters; None and False were not given.

    Raises:
        BadInput: one was given; names all of them.
    """
    named = [
        f"--{name.replace('_', '-')}"
        for name, value in given.items()
        if value is not None and value is not False
    ]
    if named:
        raise BadInput(f"{who} takes no {' and no '.join(named)}", hint="leave it out")


def print_json(document: dict[str, Any]) -> None:
    """Print a document on stdout, with null for what JSON has no number for."""
    sys.stdout.write(json.dumps(_finite(document), indent=1, allow_nan=False) + "\n")


def _report(sentence: str, kind: str, result: dict[str, Any] | None) -> None:
    if result is not None:
        print_json({"error": sentence, "type": kind} | result)
    typer.secho("error:", fg="red", bold=True, nl=False, err=True)
    typer.echo(f" {sentence}", err=True)


def _finite(value: Any) -> Any:
    """Return the value with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
