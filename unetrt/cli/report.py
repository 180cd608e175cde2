"""`unetrt report`: write the page and the Markdown file of a benchmark's record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unetrt.benchmarks.record import read_record
from unetrt.benchmarks.report import write_report
from unetrt.cli.output import emit
from unetrt.cli.shell import AsJson
from unetrt.files import output_folder

__all__ = ["report"]


def report(
    record: Annotated[Path, typer.Argument(help="RECORD.json that a benchmark wrote.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for report.html and report.md; that of the record."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the page of a benchmark's record."""
    folder = out or record.parent
    write_report(read_record(record), output_folder(folder))
    files = {"html": str(folder / "report.html"), "markdown": str(folder / "report.md")}
    emit(files, as_json=as_json, shown=[f"Wrote {file}" for file in files.values()])
