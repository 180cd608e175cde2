"""The benchmarks' command line.

python -m unetrt.benchmarks matrix --out DIR [--minutes 60] [--networks article] [--sizes 256] ...
python -m unetrt.benchmarks report RECORD.json --out DIR
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from unetrt.errors import UnetrtError

__all__ = ["main"]

_COMMANDS = {
    "matrix": "time every network, size, batch and precision with every library that is here",
    "report": "make the page and the Markdown file again, from a record",
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one of the commands; each is a file of `verbs`."""
    parser = argparse.ArgumentParser(
        prog="python -m unetrt.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    modules = {}
    for name, told in _COMMANDS.items():
        modules[name] = importlib.import_module(f".verbs.{name}", __package__)
        modules[name].add_arguments(commands.add_parser(name, help=told, description=told))
    given = parser.parse_args(words)
    try:
        status: int = modules[given.command].run(given)
    except UnetrtError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return status


if __name__ == "__main__":
    sys.exit(main())
