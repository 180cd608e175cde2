"""Progress that is heard, and progress that is shown."""

import pytest

from unetrt.progress import ConsoleProgress, Progress


def test_steps_of_one_name_add_up():
    progress = Progress()
    for _ in range(2):
        with progress.step("read", "Reading"):
            progress.say("nothing is printed")
            progress.tick("nor here")
    assert list(progress.seconds) == ["read"]
    assert progress.seconds["read"] >= progress.step_s >= 0


def test_a_step_that_fails_has_no_time():
    progress = Progress()
    with pytest.raises(KeyError), progress.step("read", "Reading"):
        raise KeyError
    assert progress.seconds == {}


def test_plain_lines_where_there_is_no_terminal(capsys):
    progress = ConsoleProgress()
    with progress.step("read", "Reading [cells]"):
        progress.tick("1/2 files")  # too soon after the line before
    told = capsys.readouterr()
    assert told.out == ""
    began, done = told.err.splitlines()
    assert began.endswith("Reading [cells] ...")
    assert "Reading [cells]: done in 0.0 s" in done


def test_a_live_line_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = ConsoleProgress()
    with progress.step("read", "Reading [cells]"):
        progress.tick("1/2 [files]")
        progress._live.refresh()
    told = capsys.readouterr().err
    assert "Reading [cells]: 1/2 [files]" in told
    assert "done in" in told
