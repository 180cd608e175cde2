"""The snapshots can fail, and do not where nothing of substance changed."""

import pytest

from tests.jobs.command_line import app
from tests.jobs.snapshot import SNAPSHOTS, UPDATE, check_snapshot, shape_of

RECORD = {
    "sha256": "ab" * 32,
    "file": "/tmp/x1/m.onnx",  # noqa: S108  (never opened)
    "shape": [1, 32, 32, 1],
    "free": [None, None, 1],
    "rows": [{"status": "passed", "p50": 0.25, "windows": {"n": 3}, "host_ns": [12, 13]}],
}


@pytest.fixture
def stored(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv(UPDATE, "1")
        check_snapshot("record", RECORD, folder=tmp_path, unknown=["rows.windows.*"])
    monkeypatch.delenv(UPDATE, raising=False)
    return lambda document: check_snapshot(
        "record", document, folder=tmp_path, unknown=["rows.windows.*"]
    )


def test_what_is_measured_and_where_it_lies_may_change(stored):
    row = {"status": "passed", "p50": 7.5, "windows": {"n": None}, "host_ns": [1, 2, 3]}
    stored(RECORD | {"sha256": "cd" * 32, "file": "/var/m.onnx", "rows": [row, row]})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"shape": [1, 32, 1, 32]}, "+  1,"),
        ({"free": [None, 1]}, "-  null,"),
        ({"rows": [{**RECORD["rows"][0], "status": "failed"}]}, '+   "status": "failed",'),
        ({"rows": [{**RECORD["rows"][0], "p50": None}]}, '+   "p50": null,'),
        ({"rows": [{"p50": 0.25}]}, '-   "status": "passed",'),
        ({"file": "/tmp/x1/other.onnx"}, '+ "file": "<folder>/other.onnx",'),  # noqa: S108
        ({"extra": 1}, '+ "extra": 1,'),
    ],
)
def test_a_difference_of_substance_is_shown_line_by_line(stored, changed, said):
    with pytest.raises(AssertionError, match="where this is intended") as raised:
        stored(RECORD | changed)
    assert said in str(raised.value).splitlines()


def test_what_was_never_stored_fails(tmp_path, monkeypatch):
    monkeypatch.delenv(UPDATE, raising=False)
    with pytest.raises(AssertionError, match=r"there is no new\.json"):
        check_snapshot("new", {}, folder=tmp_path)


def test_versions_and_times_are_only_said_to_be_that():
    assert shape_of({"made": "2026-11-27T03:02:43+00:00", "with": "OpenVINO 2026.4.1-22/4"}) == {
        "made": "<time>",
        "with": "OpenVINO <version>",
    }


def test_the_options_of_every_subcommand():
    from typer.main import get_command

    commands = get_command(app).commands
    assert len(commands) > 5
    check_snapshot(
        "options",
        {
            name: {option: parameter.required for parameter in command.params
                   for option in (*parameter.opts, *parameter.secondary_opts)}
            for name, command in commands.items()
        },
    )  # fmt: skip


def test_there_are_snapshots():
    assert len(list(SNAPSHOTS.glob("*.json"))) > 10
