"""Write a report and read it again, as a program would: its sentences, tables, charts."""

import html
import re
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.benchmarks.report.synthetic import record
from unetrt.benchmarks.report import write_report


def typed(text):
    """Return it with letters of a keyboard for the signs that a page has."""
    return html.unescape(text).translate({0xD7: "x", 0x2013: "-", 0xB7: "."})


@dataclass(frozen=True)
class Written:
    page: str
    markdown: str

    @property
    def findings(self):
        return re.findall(r"^- (.*)$", self.markdown.partition("\n## ")[0], re.MULTILINE)

    @property
    def words(self):
        return typed(" ".join(self.findings))

    @property
    def tiles(self):
        found = re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", self.page)
        return [(typed(words), figure) for words, figure in found]

    def table(self, title):
        """Return the cells of a table of the Markdown file, its head first."""
        section = typed(self.markdown).partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("|")]
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
        return [row for row in rows if not row[0].startswith(":--")]

    def charts(self, anchor):
        """Return the charts of a section: title and parsed SVG."""
        section = re.search(rf'<section class="{anchor}">.*?</section>', self.page, re.DOTALL)
        figures = re.findall(
            r"<figcaption>(.*?)</figcaption>\s*(<svg.*?</svg>)", section[0] if section else "",
            re.DOTALL,
        )  # fmt: skip
        return [Drawn(typed(title), svg) for title, svg in figures]


class Drawn:
    def __init__(self, title, svg):
        self.title = title
        self.root = ET.fromstring(svg.replace(' xmlns="http://www.w3.org/2000/svg"', ""))  # noqa: S314
        self.described = self.root.attrib["aria-label"]
        self.texts = [typed(text.text) for text in self.root.iter("text")]

    def tipped(self, tip):
        """Return the elements whose tip starts so."""
        return [
            one for one in self.root.iter("g")
            if one.find("title") is not None and one.find("title").text.startswith(tip)
        ]  # fmt: skip

    @property
    def tips(self):
        return [tip.text for tip in self.root.iter("title")]


def across(element):
    """Return the horizontal places of a path in the element."""
    paths = " ".join(path.attrib["d"] for path in element.iter("path"))
    return [float(x) for x in re.findall(r"[ML] (-?[\d.]+) ", paths)]


def written(record):
    with tempfile.TemporaryDirectory() as folder:
        write_report(record, Path(folder))
        return Written(*(
            (Path(folder) / name).read_text(encoding="utf-8")
            for name in ("report.html", "report.md")
        ))  # fmt: skip


@cache
def whole_report():
    """Return the report of the whole record; drawn once for all tests."""
    return written(record())
