"""The benchmark's page in a real browser; skipped, visibly, where there is none."""

import html.parser
import re
import sys
from dataclasses import replace

import pytest

from tests.benchmarks.report.synthetic import record
from tests.benchmarks.report.written import whole_report, written
from tests.report.test_page import CHROMIUM, FLAGS
from unetrt.benchmarks.record import Failure
from unetrt.benchmarks.report import write_report
from unetrt.errors import MissingDependency

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
HOSTILE = '<script>alert("a|b")</script>'
CHARTS = 2 * 2 * 2 + 2 * 2 * 2 + 4 + 4 + 2 + 2 + 1
"""Cases; comparisons of each; batch; size; rooflines; shares; attained."""


@pytest.fixture(scope="module")
def page():
    return whole_report().page


@pytest.fixture(scope="module")
def hostile():
    of = record(sides=(512,))
    rows = []
    for number, row in enumerate(of.rows):
        hot = replace(row.windows[0], throttle=(HOSTILE,), throttled=True)
        rows.append(
            replace(
                row,
                network=HOSTILE,
                backend=f"{number} {HOSTILE}",
                computes_in=HOSTILE,
                configuration={HOSTILE: HOSTILE},
                windows=(hot,),
                device=f'x" onload="{HOSTILE}',
                warnings=(HOSTILE,),
            )
        )
    place = {old.id: new.id for old, new in zip(of.rows, rows, strict=True)}
    networks = {
        f"{HOSTILE.replace('/', '')}/{k}": network
        | {"layers": [layer | {"block": HOSTILE} for layer in network["layers"]]}
        for k, network in enumerate(of.networks.values())
    }
    return written(
        replace(
            of,
            title=HOSTILE,
            command=HOSTILE,
            machine=of.machine | {"cpu": HOSTILE},
            rows=tuple(rows),
            networks=networks,
            failures=(Failure(HOSTILE, HOSTILE),),
            comparisons=tuple(
                replace(one, a=place[one.a], b=place[one.b]) for one in of.comparisons
            ),
        )
    )


class Tags(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.attributes = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.attributes |= {name for name, _ in attrs}


def test_the_page_holds_all_it_shows(page):
    assert "://" not in page.replace(' xmlns="http://www.w3.org/2000/svg"', "")
    assert not {"script", "link", "img", "iframe"} & set(Tags(page).found)
    assert len(page) < 2_000_000


def test_hostile_names_stay_text(hostile):
    tags = Tags(hostile.page)
    assert "script" not in tags.found
    assert not any(name.startswith("on") for name in tags.attributes)
    assert "&lt;script&gt;" in hostile.page
    assert "<script" not in hostile.markdown


def test_hostile_names_do_not_break_a_table(hostile):
    lines = hostile.markdown.splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert len(tables) > 50
    assert {re.sub(r"\\.", "", line).count("|") for line in tables} <= set(range(3, 18))
    head = next(line for line in tables if line.startswith("| network | input"))
    row = tables[tables.index(head) + 2]
    assert re.sub(r"\\.", "", row).count("|") == head.count("|")


def test_every_chart_is_described_and_every_head_cell_has_its_scope(page):
    described = r'<svg [^>]*viewBox="0 0 360 \d+" [^>]*role="img" aria-label="[^"]{40,}"'
    assert len(re.findall(described, page)) == CHARTS
    assert re.findall(r"<th(?! scope)[ >]", page) == []
    assert page.count("<caption>") == page.count("<table>") >= 7


@pytest.mark.parametrize("module", ["matplotlib.figure", "jinja2"])
def test_without_a_library_one_sentence_names_the_extra(tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=r"install it with: pip install 'unetrt\[report\]'"):
        write_report(record(n=20, sides=(512,), batches=(1,)), tmp_path)
    assert not list(tmp_path.iterdir())


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
def address(tmp_path_factory, page):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_renders_without_overflow_or_complaint(browser, address, width, scheme):
    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(address)
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    drawn = tab.evaluate(
        "[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().width)"
    )
    assert len(drawn) == CHARTS
    assert min(drawn) > 250
    outside = tab.evaluate("""[...document.querySelectorAll('figure svg')].flatMap(s => {
        const frame = s.getBoundingClientRect()
        return [...s.querySelectorAll('text')].filter(t => {
            const box = t.getBoundingClientRect()
            return box.left < frame.left - 1 || box.right > frame.right + 1
        }).map(t => t.textContent)})""")
    assert outside == []
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(set(ids)) == len(ids)
    assert "FP16 against FP32" in tab.locator(".lead").inner_text()
    ink, paper = tab.evaluate("[getComputedStyle(document.body).color, "
                              "getComputedStyle(document.body).backgroundColor]")  # fmt: skip
    bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, paper)]
    assert (bright[0] > bright[1]) == (scheme == "dark")
    assert not complaints
    tab.close()


def test_it_prints_whole_tables_and_what_was_folded(browser, address):
    tab = browser.new_page(viewport={"width": 1032, "height": 703})
    tab.goto(address)
    tab.emulate_media(media="print")
    sizes = tab.evaluate("""[...document.querySelectorAll('.wide')].map(
        e => [e.scrollWidth, e.clientWidth, e.scrollHeight])""")
    assert len(sizes) >= 7
    assert all(needed <= given and height > 20 for needed, given, height in sizes)
    pages = len(re.findall(rb"/Type\s*/Page\b", tab.pdf(prefer_css_page_size=True)))
    assert 4 <= pages <= 40
    tab.close()
