import importlib
import json
import sys
from functools import partial
from pathlib import Path

import pytest

from unetrt.benchmarks.promises.runner import (
    Verdict,
    report,
    run_in_child,
    run_script,
    try_in_child,
)
from unetrt.errors import CheckFailed, NoDevice, OutputError

KEPT, MISSED, NEITHER = (Verdict(f"p {k}", "m", k) for k in (True, False, None))

SCRIPT = """
import os, sys
from pathlib import Path
from unetrt.benchmarks.promises.runner import note, run_script

def double(*, n):
    return {"twice": 2 * n, "process": os.getpid()}

def fail(*, folder, words):
    note(Path(folder), stage="export")
    raise ValueError(words)

if __name__ == "__main__":
    sys.exit(run_script(None))
"""


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [([KEPT, NEITHER], 0), ([NEITHER], 0), ([KEPT, MISSED, KEPT], 1), ([MISSED, NEITHER], 1)],
)
def test_only_a_missed_promise_fails(tmp_path, verdicts, status):
    assert report(verdicts, {}, tmp_path / "out.json") == status


def test_verdicts_are_printed_and_written_with_the_machine(tmp_path, capsys):
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


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A promise that this process imports and its children run."""
    (tmp_path / "a_promise.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(tmp_path)
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}")
    yield importlib.import_module("a_promise")
    del sys.modules["a_promise"]


def test_a_function_is_called_in_a_process_of_its_own(script):
    found = run_in_child(partial(script.double, n=21))
    assert found["twice"] == 42
    assert found["process"] != script.double(n=21)["process"]


def test_a_child_that_fails_keeps_its_progress_and_says_why_on_one_line(script, tmp_path):
    words = "\x1b[1mno such\x1b[0m\n\n  encoder" + 300 * "!"
    fail = partial(script.fail, folder=str(tmp_path), words=words)
    done = try_in_child(fail, tmp_path)
    assert done.found == {"stage": "export"}
    assert done.failure.startswith("ValueError: no such encoder!!!")
    assert done.failure.endswith("!...")
    with pytest.raises(CheckFailed, match=r"fail\(folder=.* failed: got ValueError: no such"):
        run_in_child(fail)


def test_an_error_is_a_sentence_and_a_status(monkeypatch, capsys):
    def main():
        raise NoDevice("Timing needs an NVIDIA GPU", got="none")

    monkeypatch.setattr(sys, "argv", ["a_promise"])
    assert run_script(main) == NoDevice.exit_status == 2
    assert capsys.readouterr().err == "Timing needs an NVIDIA GPU: got none.\n"
