import pytest

from unetrt.benchmarks.server import Server
from unetrt.errors import CheckFailed

ECHO = "import json, sys\nfor line in sys.stdin: print(line.strip(), flush=True)"


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Serve with a job that does what `code` says."""
    package = tmp_path / "unetrt" / "benchmarks" / "jobs"
    package.mkdir(parents=True)
    for folder in (package, *package.parents[:2]):
        (folder / "__init__.py").touch()  # else the real package would be found
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def serve(code, timeout_s=20):
        (package / "told.py").write_text(code)
        return Server("told", (), timeout_s=timeout_s)

    return serve


def test_each_question_has_its_answer(serve):
    with serve(ECHO) as server:
        assert server.ask(run=3) == {"run": 3}
        assert server.ask(dice=True) == {"dice": True}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise ValueError('as said')", "The job told gave no answer: got ValueError: as said"),
        ("", "gave no answer: got exit status 0"),
    ],
)
def test_a_process_that_ends_is_quoted(serve, code, words):
    with serve(code) as server, pytest.raises(CheckFailed, match=words):
        server.ask(run=1)


def test_a_slow_answer_is_no_answer(serve):
    code = "import time; time.sleep(60)"
    with serve(code, timeout_s=0.5) as server, pytest.raises(CheckFailed, match="status -9"):
        server.ask(run=1)


def test_no_process_is_left(serve):
    with serve(ECHO) as server:
        server.ask(run=1)
    assert server._process.returncode is not None
