"""One HTML page that holds all it shows."""

from __future__ import annotations

import base64
from importlib import resources
from typing import Any

from unetrt import vendor
from unetrt.data.overlay import COLOURS

__all__ = ["render_html"]


def render_html(summary: dict[str, Any], pictures: dict[str, bytes]) -> str:
    """Render the report of a summary (see summary.schema.json); `pictures` are PNG files.

    Names are escaped: a class or a folder may be called anything.
    """
    jinja = vendor.jinja2()
    source = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = jinja.Environment(
        autoescape=True, undefined=jinja.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    inlined = {
        name: "data:image/png;base64," + base64.b64encode(png).decode()
        for name, png in pictures.items()
    }
    colours = COLOURS[1:].astype(int).tolist()
    page: str = environment.from_string(source).render(pictures=inlined, colours=colours, **summary)
    return page
