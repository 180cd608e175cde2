"""`report`: the page and the Markdown file again, from a record."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from unetrt.files import output_folder

from ..record import read_record
from ..report import write_report

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("record", type=Path, help="JSON file that a benchmark wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for report.html, report.md")


def run(given: argparse.Namespace) -> int:
    """Write both files.

    Raises:
        BadInput: the record is damaged, of another version, or none.
        OutputError: the folder cannot be written.
    """
    record = read_record(given.record).to_json()
    write_report(record, output_folder(given.out))
    sys.stdout.write(f"{given.out / 'report.html'}\n{given.out / 'report.md'}\n")
    return 0
