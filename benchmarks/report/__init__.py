"""What a benchmark found, for people: an HTML page and a Markdown file, made from the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unetrt.files import write_text

from .content import Content
from .markdown import render_markdown
from .page import render_page

__all__ = ["Content", "render_markdown", "render_page", "write_report"]


def write_report(record: dict[str, Any], folder: Path) -> None:
    """Write `report.html` and `report.md` of a record into `folder`.

    Raises:
        OutputError: the folder cannot be written.
        MissingDependency: Jinja is not installed.
    """
    content = Content.of(record)
    write_text(folder / "report.html", render_page(content))
    write_text(folder / "report.md", render_markdown(content))
