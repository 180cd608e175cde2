from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.report.synthetic import holding, record
from tests.benchmarks.report.written import written
from unetrt.benchmarks.record import Failure

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
GOLDEN = Path(__file__).with_name("golden.md")


def test_the_file_is_as_it_was_read_and_agreed():
    # After a change that is meant: write this record's report there and read it.
    found = written(record(n=70, sides=(512,), batches=(1,))).markdown
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_a_record_of_nothing_still_says_so():
    nothing = {"networks": {}, "ceilings": None, "layers": None}
    empty = replace(holding(), failures=(Failure("a", "no GPU"),), **nothing)
    found = written(empty)
    assert found.findings == ["Nothing was timed.", "Asked for and missing: 1 row; no GPU."]
    assert "| no GPU | 1 | a |" in found.markdown
