"""Write the report of a benchmark, an HTML page and a Markdown file, from its record."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from unetrt.files import write_text
from unetrt.report import render_template

from ..record import Record
from .content import Content
from .tables import Table

__all__ = ["render_html", "render_markdown", "write_report"]


def write_report(record: Record, folder: Path) -> None:
    """Write `report.html` and `report.md` of a record into a folder.

    Args:
        record: of a benchmark; see `read_record`.
        folder: where the files go; it is made if there is none.

    Raises:
        OutputError: the folder cannot be written.
        MissingDependency: Jinja or matplotlib, which the extra "report" brings, is not installed.

    Example:
        >>> from unetrt.benchmarks import read_record
        >>> record = read_record(Path("record.json"))
        >>> write_report(record, Path("shown"))
        >>> sorted(path.name for path in Path("shown").iterdir())
        ['report.html', 'report.md']
    """
    content = Content.of(record)
    write_text(folder / "report.html", render_html(content))
    write_text(folder / "report.md", render_markdown(content))


def render_html(content: Content) -> str:
    """Lay the report out as a page without scripts or outside resources; names are escaped."""
    source = resources.files(__package__).joinpath("benchmark.html.j2").read_text(encoding="utf-8")
    return render_template(source, content=content)


def render_markdown(content: Content) -> str:
    """Lay the report out for a terminal or a repository's page; names are escaped."""
    parts = [
        f"# {_plain(content.title)}",
        _plain(content.subtitle),
        "\n".join(f"- {_plain(sentence)}" for sentence in content.findings),
    ]
    for section in content.sections:
        if section.table is not None and section.table.rows:
            parts.append(f"## {section.title}")
            parts += [_plain(section.note)] if section.note else []
            parts.append(_table(section.table))
    if content.settings:
        parts.append("## Library settings")
        parts.append(
            "\n".join(
                f"- {_plain(one.library)}{' (peer)' if one.peer else ''}: "
                + ", ".join(f"{_plain(name)} = {_plain(value)}" for name, value in one.values)
                for one in content.settings
            )
        )
    if content.rows.rows:
        parts += ["## All rows", _table(content.rows)]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    sides = [":--" if place <= table.words else "--:" for place in range(len(table.columns))]
    lines = [_line(map(_plain, table.columns)), _line(sides)]
    return "\n".join([*lines, *(_line(map(_plain, row)) for row in table.rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Escape what Markdown or HTML would take for its own; a line stays one line."""
    marked = re.sub(r"([\\`*|\[\]])", r"\\\1", " ".join(text.split()))
    return html.escape(marked, quote=False)
