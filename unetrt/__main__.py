"""Run the command line: `unetrt demo`, `unetrt train`, ...

A subcommand's module is imported when it is named, so that `unetrt --help` loads none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from unetrt import __version__
from unetrt.cli.shell import reported
from unetrt.lazy import naming_extras

__all__ = ["COMMANDS", "app", "main"]

COMMANDS = {
    "demo": "Do all of the below on real images, and report.",
    "train": "Train a U-Net on a data set.",
    "resume": "Continue a training that was interrupted.",
    "convert": "Write a Keras model as ONNX, in the precision asked for.",
    "build": "Build a TensorRT engine from an ONNX file.",
    "refit": "Put an ONNX file's weights into an engine.",
    "verify": "Check artifacts against a reference on real images.",
    "predict": "Segment images into label maps and overlays.",
    "bench": "Time artifacts side by side.",
    "bench-matrix": "Time the networks of the papers with every library.",
    "compare": "Compare two records of one benchmark, row by row.",
    "report": "Write the page of a benchmark's record.",
    "doctor": "Say what this machine can run.",
}
"""Each subcommand and the first line of its help; tests/cli/test_shell.py compares the two."""

_PLAIN: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": None,  # Rich's help takes 0.3 s to import; results and progress use Rich
    "pretty_exceptions_enable": False,
}


class _Subcommands(Mapping[str, Any]):
    """Click's commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        word = name.replace("-", "_")
        with naming_extras(f"unetrt {name}"):
            module = importlib.import_module(f"unetrt.cli.{word}")
        alone = typer.Typer(**_PLAIN)
        alone.command(name)(getattr(module, word))
        return get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _LazyGroup(TyperGroup):
    """Lists the subcommands from a table, imports the one that is named, reports its errors."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.commands = _Subcommands()  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  (Click's signature)
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["unetrt.as_json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with reported(as_json=ctx.meta["unetrt.as_json"]):
            return super().invoke(ctx)


app = typer.Typer(name="unetrt", cls=_LazyGroup, no_args_is_help=True, **_PLAIN)


def _print_version(asked: bool) -> None:  # noqa: FBT001  (Typer calls it)
    if asked:
        typer.echo(f"unetrt {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """From a Keras U-Net to a TensorRT engine that is known to be right, and timed.

    Exit status: 0, 1 (a check failed), 2 (bad input).
    """


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
