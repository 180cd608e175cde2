"""The report as Markdown: the words and the tables."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from .content import Content
from .tables import Table

__all__ = ["render_markdown"]


def render_markdown(content: Content) -> str:
    """Lay the report out for a terminal or a repository's page. Names are escaped."""
    parts = [
        f"# {_plain(content.title)}",
        _plain(content.subtitle),
        " ".join(map(_plain, content.words)),
    ]
    for section in content.sections:
        if section.table is not None and section.table.rows:
            parts.append(f"## {section.title}")
            parts += [_plain(section.note)] if section.note else []
            parts.append(_table(section.table))
    if content.configurations:
        parts.append("## What each library was set to")
        parts.append(
            "\n".join(
                f"- {_plain(one.name)}{' (peer)' if one.peer else ''}: "
                + ", ".join(f"{_plain(name)} = {_plain(value)}" for name, value in one.settings)
                for one in content.configurations
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
