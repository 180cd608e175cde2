import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ends, runs
from unetrt.benchmarks.processes import Worker
from unetrt.errors import WorkerFailed

FAKE = Path(__file__).with_name("fake_worker.py")
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


def test_it_answers_as_often_as_it_is_asked_whatever_it_prints(start, tmp_path):
    worker = start("answers")
    assert worker.ask("turn", timeout_s=PATIENCE_S, count=3) == {"host": [7, 7, 7]}
    assert worker.ask("turn", timeout_s=PATIENCE_S, count=1) == {"host": [7]}
    worker.close()
    assert "announces" in (tmp_path / "log.txt").read_text()


def test_an_answer_that_comes_in_parts_is_one(start):
    assert start("answers slowly").ask("turn", timeout_s=PATIENCE_S) == {"host": [1]}


def test_what_fails_to_open_says_why_and_leaves_nothing(start):
    with pytest.raises(WorkerFailed, match="fake failed: got ValueError: no such layer"):
        start("fails to open")


def test_what_never_opens_is_stopped_in_time(start):
    with pytest.raises(WorkerFailed, match=r"fake was stopped: got no answer in 0\.5 s; "):
        start("never opens", timeout_s=0.5)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("dies", "fake died: got exit status 3; Segmentation fault, said the library"),
        ("is killed", "fake died: got killed by signal 9"),
        ("leaves a child behind", "fake died: got exit status 4"),
        ("hangs", r"fake was stopped: got no answer in 1 s"),
        ("talks nonsense", r"fake gave no answer: got 'Epoch 1/20 \[=====>', expected JSON that"),
        ("answers another question", "fake gave no answer: .* expected JSON that says 'turn'"),
        ("fails", "fake failed: got RuntimeError: out of memory"),
    ],
)
def test_a_child_that_misbehaves_is_closed_with_its_last_words(start, how, words):
    worker = start(how)
    with pytest.raises(WorkerFailed, match=words):
        worker.ask("turn", timeout_s=1 if how == "hangs" else PATIENCE_S, count=1)
    assert ends(worker.opened["pid"])
    with pytest.raises(WorkerFailed, match="fake was closed and cannot be asked: got turn"):
        worker.ask("turn", timeout_s=1, count=1)


def test_a_child_that_died_between_two_questions_is_noticed_at_the_next(start):
    worker = start("answers")
    os.kill(worker.opened["pid"], 9)
    assert ends(worker.opened["pid"])
    with pytest.raises(WorkerFailed, match="fake died: got killed by signal 9"):
        worker.ask("turn", timeout_s=PATIENCE_S, count=1)


def test_closing_ends_the_child_also_after_an_exception_and_may_be_said_twice(start):
    worker = start("answers")
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
        worker.ask("turn", timeout_s=PATIENCE_S, count=1)
    assert ends(worker.opened["pid"])


def test_a_program_that_is_not_there_is_said(tmp_path):
    with pytest.raises(WorkerFailed, match="fake cannot be started: got .*no-such-python"):
        Worker(["/no-such-python"], name="fake", log=tmp_path / "log", timeout_s=1)


def test_a_child_leaves_by_itself_when_its_parent_is_killed(tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from unetrt.benchmarks.processes import Worker\n"
        "command = [sys.executable, sys.argv[1], 'answers']\n"
        "worker = Worker(command, name='fake', log=Path(sys.argv[2]), timeout_s=600)\n"
        "print(worker.opened['pid'], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(FAKE), str(tmp_path / "log.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -9
    assert ends(int(done.stdout))
