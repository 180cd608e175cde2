from pathlib import Path

from tests.benchmarks.report.synthetic import record
from unetrt.benchmarks.report import Content, render_markdown

GOLDEN = Path(__file__).with_name("golden.md")


def small():
    return record(n=70, sides=(512,), batches=(1,))


def test_the_file_is_as_it_was_read_and_agreed():
    # After a change that is meant: write render_markdown(Content.of(small())) there and read it.
    assert render_markdown(Content.of(small())) == GOLDEN.read_text(encoding="utf-8")


def test_a_record_of_nothing_still_says_so():
    empty = record() | {
        "rows": [], "comparisons": [], "networks": {}, "ceilings": None, "layers": None,
        "failures": [{"id": "a", "reason": "no GPU"}],
    }  # fmt: skip
    text = render_markdown(Content.of(empty))
    assert "Nothing was timed. Asked for and missing: 1 row; no GPU." in text
    assert "| no GPU | 1 | a |" in text
