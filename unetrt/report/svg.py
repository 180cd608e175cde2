"""Draw charts by matplotlib in one style, as SVG that follows a page's light and dark colours."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any
from xml.etree import ElementTree as ET

from unetrt import vendor

__all__ = ["as_file", "colours", "set_tip", "styled_figure", "to_svg"]

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "line",
    "axes.facecolor": "none",
    "axes.labelcolor": "soft",
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.size": 11,
    "grid.color": "grid",
    "grid.linewidth": 1,
    "svg.fonttype": "none",  # text stays text: crisp, searched and copied like the rest
    "text.color": "ink",
    "text.parse_math": False,  # a name with dollars is a name
    "xtick.color": "soft",
    "xtick.major.size": 0,
    "ytick.color": "soft",
    "ytick.major.size": 0,
}
"""Matplotlib's parameters that are not its defaults; colours are names of `colours`."""

_TIP = "tip:"
_NAMESPACE = "http://www.w3.org/2000/svg"
_NOT_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PIXELS_AN_INCH = 72


@cache
def colours() -> dict[str, str]:
    """Return the colours of style.css by their names there, as they are in its light scheme."""
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", _variables().partition("}")[0]))


def _variables() -> str:
    """Return the rules of style.css that name colours, of both schemes; they come first in it."""
    sheet = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return sheet.partition("* {")[0]


@contextmanager
def styled_figure(width: float, height: float) -> Iterator[Any]:
    """Give a matplotlib figure of so many pixels; what is drawn within the block has the style.

    Raises:
        MissingDependency: matplotlib is not installed.

    Example:
        >>> with styled_figure(360, 120) as figure:
        ...     _ = figure.add_subplot().plot([1, 2, 3], color=colours()["fp16"])
        >>> to_svg(figure, name="line", description="A line that rises.")[:4]
        '<svg'
    """
    matplotlib = vendor.matplotlib()
    style = {name: colours().get(str(value), value) for name, value in _STYLE.items()}
    size = (width / _PIXELS_AN_INCH, height / _PIXELS_AN_INCH)
    with matplotlib.style.context(["default", style]):
        yield matplotlib.figure.Figure(figsize=size)


def set_tip(artist: Any, text: str) -> None:
    """Give something drawn the text that is shown where a pointer rests on it."""
    artist.set_gid(_TIP + text)


def to_svg(figure: Any, *, name: str, description: str) -> str:
    """Return a figure as one `<svg>` element of a page.

    Colours refer to the page's variables and fall back to the light ones. Two figures of
    different names share no id; the same figure gives the same text each time.

    Args:
        figure: drawn within `styled_figure`.
        name: that no other figure of the page has.
        description: read out in place of the drawing.
    """
    matplotlib = vendor.matplotlib()
    output = {"svg.hashsalt": name, "svg.fonttype": "none"}
    drawn = io.StringIO()
    with matplotlib.rc_context(output), warnings.catch_warnings():
        # Of a letter that matplotlib's own font lacks; the browser has others.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        undated = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(drawn, format="svg", metadata=undated)
    root = ET.fromstring(_printable(drawn.getvalue()))  # noqa: S314  (drawn just now, names escaped)
    _tidy(root)
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib = {
        "xmlns": _NAMESPACE,
        "viewBox": root.attrib["viewBox"],
        "width": width,
        "height": height,
        "role": "img",
        "aria-label": _printable(description),
        # Matplotlib says so in a rule for every element, which would be every one of the page.
        "style": "font-family: var(--sans, sans-serif); stroke-linejoin: round",
    }
    return ET.tostring(root, encoding="unicode")


def as_file(svg: str) -> str:
    """Return a drawing of `to_svg` for a file of its own, light or dark as its reader prefers."""
    return svg.replace(">", f"><style>{_variables()}</style>", 1)


def _printable(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _tidy(root: ET.Element) -> None:
    """Take out what a page does not need, and put in its colours and the tips."""
    for parent in root.iter():
        for child in [*parent]:
            if child.tag in {f"{{{_NAMESPACE}}}style", f"{{{_NAMESPACE}}}metadata"}:
                parent.remove(child)
    referred = set(re.findall(r"#([mp][0-9a-f]{10})\b", ET.tostring(root, "unicode")))
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_NAMESPACE}}}")
        element.attrib = {
            name.rpartition("}")[2]: value
            for name, value in element.attrib.items()
            if not (name == "transform" and value.startswith("rotate(-0 "))
        }
        element.tail = None
        if not (element.text or "").strip():
            element.text = None
        if "d" in element.attrib:
            element.attrib["d"] = " ".join(element.attrib["d"].split())
        gid = element.attrib.get("id", "")
        if gid not in referred:
            element.attrib.pop("id", None)
        if gid.startswith(_TIP):
            tip = ET.Element("title")
            tip.text = gid.removeprefix(_TIP)
            element.insert(0, tip)
        if "style" in element.attrib:
            element.attrib["style"] = _page_style(element.attrib["style"])


def _page_style(style: str) -> str:
    kept = [one for one in style.split("; ") if not one.startswith("font-family")]
    named = {value: name for name, value in colours().items()}
    return re.sub(
        r"#[0-9a-f]{6}",
        lambda found: f"var(--{named[found[0]]}, {found[0]})" if found[0] in named else found[0],
        "; ".join(kept),
    )
