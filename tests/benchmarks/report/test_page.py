"""The benchmark's page in a real browser; skipped, visibly, where there is none."""

import html.parser
import re

import pytest

from tests.benchmarks.report.synthetic import record
from tests.report.test_page import CHROMIUM, FLAGS
from unetrt.benchmarks.report import Content, render_markdown, render_page, write_report

pytest.importorskip("jinja2")
HOSTILE = '<script>alert("a|b")</script>'
FIGURES = 2 * 2 * 2 + 4 + 4 + 4 + 2 + 2 + 1
"""Cases; precisions, a library and scope each; batch; size; rooflines; shares; attained."""


def page(of):
    return render_page(Content.of(of))


def hostile():
    of = record()
    of["title"] = of["command"] = of["machine"]["cpu"] = HOSTILE
    for row in of["rows"]:
        row |= {"network": HOSTILE, "backend": HOSTILE, "computes_in": HOSTILE, "mode": HOSTILE}
        row["configuration"] = {HOSTILE: HOSTILE}
        row["precision"] = f'fp16" onload="{HOSTILE}'
        for window in row["windows"]:
            window |= {"throttle": [HOSTILE], "throttled": True}
    for network in of["networks"].values():
        for layer in network["layers"]:
            layer["block"] = HOSTILE
    of["failures"] = [{"id": HOSTILE, "reason": HOSTILE}]
    return of


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.attributes = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_page_holds_all_it_shows():
    text = page(record())
    assert "://" not in text
    assert not {"script", "link", "img", "iframe"} & set(Tags(text).found)
    assert len(text) < 2_000_000


def test_hostile_names_stay_text():
    text = page(hostile())
    tags = Tags(text)
    assert "script" not in tags.found
    assert not any(name.startswith("on") for name in tags.attributes)
    assert "&lt;script&gt;" in text
    assert "<script" not in render_markdown(Content.of(hostile()))


def test_hostile_names_do_not_break_a_table():
    lines = render_markdown(Content.of(hostile())).splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) > 50
    assert {re.sub(r"\\.", "", line).count("|") for line in tables} <= set(range(3, 18))
    head = next(line for line in tables if line.startswith("| network | input"))
    row = tables[tables.index(head) + 2]
    assert re.sub(r"\\.", "", row).count("|") == head.count("|")


def test_every_figure_is_told_and_every_head_cell_has_its_scope():
    text = page(record())
    assert (
        len(re.findall(r'<svg viewBox="0 0 360 \d+" role="img" aria-label="[^"]{40,}', text))
        == FIGURES
    )
    assert re.findall(r"<th(?! scope)[ >]", text) == []
    assert text.count("<caption>") == text.count("<table>") >= 8


def test_both_files_are_written(tmp_path):
    write_report(record(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.md"}


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_report(record(), folder)
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_renders_without_overflow_or_complaint(browser, written, width, scheme):
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(written)
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    drawn = tab.evaluate(
        "[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().width)"
    )
    assert len(drawn) == FIGURES
    assert min(drawn) > 250
    outside = tab.evaluate("""[...document.querySelectorAll('figure svg')].flatMap(s => {
        const frame = s.getBoundingClientRect()
        return [...s.querySelectorAll('text')].filter(t => {
            const box = t.getBoundingClientRect()
            return box.left < frame.left - 1 || box.right > frame.right + 1
        }).map(t => t.textContent)})""")
    assert outside == []
    assert "FP16 against FP32" in tab.locator(".lead").inner_text()
    ink, paper = tab.evaluate("[getComputedStyle(document.body).color, "
                              "getComputedStyle(document.body).backgroundColor]")  # fmt: skip
    bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (bright[0] > bright[1]) == (scheme == "dark")
    assert not complaints
    tab.close()


def test_it_prints_whole_tables_and_what_was_folded(browser, written):
    tab = browser.new_page(viewport={"width": 1032, "height": 703})
    tab.goto(written)
    tab.emulate_media(media="print")
    sizes = tab.evaluate("""[...document.querySelectorAll('.wide')].map(
        e => [e.scrollWidth, e.clientWidth, e.scrollHeight])""")
    assert len(sizes) >= 8
    assert all(needed <= given and height > 20 for needed, given, height in sizes)
    pages = len(re.findall(rb"/Type\s*/Page\b", tab.pdf(prefer_css_page_size=True)))
    assert 4 <= pages <= 40
    tab.close()
