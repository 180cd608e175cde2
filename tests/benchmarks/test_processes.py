import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ends, runs
from unetrt.benchmarks.processes import Worker, run_child
from unetrt.errors import WorkerFailed

FAKE = Path(__file__).parents[1] / "fakes" / "worker.py"
PATIENCE_S = 600
"""For what comes at once on a quiet machine."""


@pytest.fixture
def start(tmp_path):
    started = []

    def start(how, timeout_s=PATIENCE_S):
        command = [sys.executable, str(FAKE), how]
        worker = Worker(command, name="fake", log=tmp_path / "log.txt", timeout_s=timeout_s)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.close()


def test_it_replies_as_often_as_it_is_asked_whatever_it_prints(start, tmp_path):
    worker = start("replies")
    assert worker.ask("time", timeout_s=PATIENCE_S, count=3) == {"host": [7, 7, 7]}
    assert worker.ask("time", timeout_s=PATIENCE_S, count=1) == {"host": [7]}
    worker.close()
    assert "announces" in (tmp_path / "log.txt").read_text()


def test_a_reply_that_comes_in_parts_is_one(start):
    assert start("replies slowly").ask("time", timeout_s=PATIENCE_S) == {"host": [1]}


def test_what_fails_to_open_says_why_and_leaves_nothing(start):
    with pytest.raises(WorkerFailed, match="fake failed: got ValueError: no such layer"):
        start("fails to open")


def test_what_never_opens_is_stopped_in_time(start):
    with pytest.raises(WorkerFailed, match=r"fake was stopped: got no reply in 0\.5 s; "):
        start("never opens", timeout_s=0.5)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("dies", "fake died: got exit status 3; Segmentation fault, said the library"),
        ("is killed", "fake died: got killed by signal 9"),
        ("leaves a child behind", "fake died: got exit status 4"),
        ("hangs", r"fake was stopped: got no reply in 1 s"),
        ("talks nonsense", r"fake sent no reply: got 'Epoch 1/20 \[=====>', expected JSON with"),
        ("replies to another request", "fake sent no reply: .* expected JSON with 'time'"),
        ("fails", "fake failed: got RuntimeError: out of memory"),
    ],
)
def test_a_child_that_misbehaves_is_closed_with_its_last_words(start, how, words):
    worker = start(how)
    with pytest.raises(WorkerFailed, match=words):
        worker.ask("time", timeout_s=1 if how == "hangs" else PATIENCE_S, count=1)
    assert ends(worker.opened["pid"])
    with pytest.raises(WorkerFailed, match="fake was closed and cannot be asked: got time"):
        worker.ask("time", timeout_s=1, count=1)


def test_a_child_that_died_between_two_questions_is_noticed_at_the_next(start):
    worker = start("replies")
    os.kill(worker.opened["pid"], 9)
    assert ends(worker.opened["pid"])
    with pytest.raises(WorkerFailed, match="fake died: got killed by signal 9"):
        worker.ask("time", timeout_s=PATIENCE_S, count=1)


def test_closing_ends_the_child_also_after_an_exception_and_may_be_said_twice(start):
    worker = start("replies")
    with pytest.raises(KeyboardInterrupt), worker:
        raise KeyboardInterrupt
    assert ends(worker.opened["pid"])
    worker.close()


def test_closing_ends_what_the_child_started(start):
    worker = start("has a child")
    child = worker.opened["child"]
    assert runs(child)
    worker.close()
    assert ends(child)


def test_ctrl_c_while_it_waits_closes_the_child(start, monkeypatch):
    worker = start("hangs")

    def interrupted(*_given):
        raise KeyboardInterrupt

    monkeypatch.setattr("unetrt.benchmarks.processes.wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        worker.ask("time", timeout_s=PATIENCE_S, count=1)
    assert ends(worker.opened["pid"])


def test_a_program_that_is_not_there_is_said(tmp_path):
    with pytest.raises(WorkerFailed, match="fake cannot be started: got .*no-such-python"):
        Worker(["/no-such-python"], name="fake", log=tmp_path / "log", timeout_s=1)


def test_a_child_leaves_by_itself_when_its_parent_is_killed(tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from unetrt.benchmarks.processes import Worker\n"
        "command = [sys.executable, sys.argv[1], 'replies']\n"
        "worker = Worker(command, name='fake', log=Path(sys.argv[2]), timeout_s=600)\n"
        "print(worker.opened['pid'], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(FAKE), str(tmp_path / "log.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9
    assert ends(int(done.stdout))


def child(tmp_path, monkeypatch, code, timeout_s=600):
    """Run `code` as a module of its own; `out` is the folder it is given."""
    (tmp_path / "a_child.py").write_text(
        f"import pathlib, sys, time\nout = pathlib.Path(sys.argv[-1])\n{code}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    folder = tmp_path / "out"
    folder.mkdir(exist_ok=True)
    return run_child("a_child", ("--some", "option"), folder, timeout_s)


def test_what_a_child_writes_is_its_result(tmp_path, monkeypatch):
    done = child(tmp_path, monkeypatch, """(out / "result.json").write_text('{"n": 3}')""")
    assert done.found == {"n": 3}
    assert done.failure is None


def test_a_child_that_fails_tells_its_reason_and_how_far_it_came(tmp_path, monkeypatch):
    written = json.dumps({"stage": "export", "reason": "UnsupportedModel: no such layer"})
    code = f"(out / 'result.json').write_text({written!r}); sys.exit(1)"
    done = child(tmp_path, monkeypatch, code)
    assert done.found == {"stage": "export"}
    assert done.failure == "UnsupportedModel: no such layer"


def test_a_child_without_a_reason_is_quoted(tmp_path, monkeypatch):
    done = child(tmp_path, monkeypatch, "raise ValueError('as said')")
    assert done.failure == "ValueError: as said"


def test_a_child_that_writes_nothing_has_failed(tmp_path, monkeypatch):
    assert child(tmp_path, monkeypatch, "").failure == "it said nothing"


def test_a_slow_child_is_stopped_and_its_progress_kept(tmp_path, monkeypatch):
    code = """(out / "result.json").write_text('{"stage": "engine"}'); time.sleep(3600)"""
    for timeout_s in (1, 4, 16, 64, 256):  # until the machine had the time to start it
        done = child(tmp_path, monkeypatch, code, timeout_s)
        assert done.failure == f"stopped after {timeout_s} s"
        if done.found:
            break
    assert done.found == {"stage": "engine"}


def test_a_killed_child_is_reported_by_its_signal(tmp_path, monkeypatch):
    done = child(tmp_path, monkeypatch, "import os; os.kill(os.getpid(), 9)")
    assert done.failure == "killed by signal 9"


def test_another_interpreter_can_be_asked(tmp_path):
    python = tmp_path / "python"
    python.write_text("""#!/bin/sh\necho '{"words": "'$2'"}' > "$4/result.json"\n""")
    python.chmod(0o755)
    assert run_child("a.module", (), tmp_path, 600, python).found == {"words": "a.module"}
