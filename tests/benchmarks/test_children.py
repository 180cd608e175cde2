import json

from unetrt.benchmarks.processes import run_child


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
