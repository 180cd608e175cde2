"""The command line: `unetrt demo`, `unetrt train`, ... ; imports a stage only when it is used."""

from __future__ import annotations

from typing import Annotated

import typer

from unetrt import __version__
from unetrt.cli.bench import bench
from unetrt.cli.build import build
from unetrt.cli.compare import compare
from unetrt.cli.convert import convert
from unetrt.cli.demo import demo
from unetrt.cli.doctor import doctor
from unetrt.cli.predict import predict
from unetrt.cli.refit import refit
from unetrt.cli.train import train
from unetrt.cli.verify import verify

__all__ = ["app", "main"]

app = typer.Typer(
    name="unetrt",
    help="From a Keras U-Net to a TensorRT engine that is known to be right, and timed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # Rich's help takes 0.3 s to import; results and progress use Rich
    pretty_exceptions_enable=False,
)
for command in (demo, train, convert, build, refit, verify, predict, bench, compare, doctor):
    app.command()(command)


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
