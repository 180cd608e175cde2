"""Render HTML pages that hold all they show, in one style."""

from __future__ import annotations

import base64
from importlib import resources
from typing import Any

from unetrt import vendor
from unetrt.data.writing import COLOURS

__all__ = ["png_address", "render_html", "render_template", "template"]


def render_html(summary: dict[str, Any], sheet: bytes, charts: dict[str, str]) -> str:
    """Render the demo's report; names are escaped: a class or a folder may be called anything.

    Args:
        summary: as summary.schema.json describes it.
        sheet: PNG file of images, truths and predictions.
        charts: "learning" and "latency", as SVG.

    Raises:
        MissingDependency: Jinja is not installed.
    """
    png = png_address(sheet)
    classes = COLOURS[1:].astype(int).tolist()
    return render_template(
        template("report.html.j2"), sheet=png, charts=charts, colours=classes, **summary
    )


def render_template(source: str, **shown: Any) -> str:
    """Fill a Jinja template, which may include "style.css"; every value is escaped.

    Raises:
        MissingDependency: Jinja is not installed.
    """
    jinja = vendor.jinja2()
    environment = jinja.Environment(
        autoescape=True,
        undefined=jinja.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja.DictLoader({"style.css": template("style.css")}),
    )
    page: str = environment.from_string(source).render(**shown)
    return page


def png_address(png: bytes) -> str:
    """Return a PNG file as the address of an image of a page that holds all it shows."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def template(name: str) -> str:
    """Return a file of this package: a template, or the style of all pages."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
