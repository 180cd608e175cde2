import json

import pytest

from unetrt.benchmarks.verdicts import Verdict, report
from unetrt.errors import OutputError

KEPT, MISSED, NEITHER = (Verdict(f"p {k}", "m", k) for k in (True, False, None))


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [([KEPT, NEITHER], 0), ([NEITHER], 0), ([KEPT, MISSED, KEPT], 1), ([MISSED, NEITHER], 1)],
)
def test_only_a_missed_promise_fails(tmp_path, verdicts, status):
    assert report(verdicts, {}, tmp_path / "out.json") == status


def test_all_is_told_and_written_with_the_machine(tmp_path, capsys):
    report([KEPT, MISSED, NEITHER], {"raw": [1, 2]}, tmp_path / "out.json")
    assert capsys.readouterr().out == "ok     p True: m\nMISSED p False: m\n-      p None: m\n"
    written = json.loads((tmp_path / "out.json").read_text())
    assert [v["kept"] for v in written["verdicts"]] == [True, False, None]
    assert written["raw"] == [1, 2]
    assert written["machine"]["cores"] >= 1


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Cannot write"):
        report([KEPT], {}, tmp_path / "file" / "out.json")
