"""The report as one HTML page that holds all it shows."""

from __future__ import annotations

from importlib import resources

from unetrt.report import render_template

from .content import Content

__all__ = ["render_page"]


def render_page(content: Content) -> str:
    """Lay the report out as a page without scripts or outside resources. Names are escaped."""
    source = resources.files(__package__).joinpath("benchmark.html.j2").read_text(encoding="utf-8")
    return render_template(source, content=content)
