"""The proof on a GPU, as far as a machine without one can follow it: a fake driver and Python."""

import os
import shutil
import subprocess

import pytest

from tests.test_repository import ROOT


@pytest.fixture
def host(tmp_path):
    """A checkout with the script alone, and a host whose commands write down what they are told."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "gpu-proof", tmp_path / "scripts")
    (tmp_path / "bin").mkdir()

    def program(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def python(tests=0):
        told = f'echo "$@" >> {tmp_path}/told\ncase "$*" in *pytest*) exit {tests};; esac'
        program(tmp_path / ".venv" / "bin" / "python", told)

    def prove(*words, gpu=True):
        program(tmp_path / "bin" / "nvidia-smi", f"exit {0 if gpu else 9}")
        return subprocess.run(
            [tmp_path / "scripts" / "gpu-proof", *words],
            env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    prove.python, prove.told = python, tmp_path / "told"
    prove.out = tmp_path / "out"
    return prove


@pytest.mark.parametrize("tests", [0, 1])
def test_the_matrix_is_measured_whether_or_not_a_test_fails(host, tests):
    host.python(tests)
    run = host("--out", host.out, "--minutes", "3", "--size", "512")
    assert run.returncode == tests, run.stderr
    *_, tested, measured = host.told.read_text().splitlines()
    assert tested == "-m pytest -m gpu"
    assert measured == (f"-m unetrt bench-matrix --out {host.out} --minutes 3 --size 512")
    assert {path.name for path in host.out.iterdir()} == {
        "nvidia-smi.txt",
        "packages.txt",
        "tests.txt",
    }


def test_without_a_gpu_it_says_so_and_does_nothing(host):
    host.python()
    run = host("--out", host.out, gpu=False)
    assert run.returncode == 2
    assert "found no NVIDIA GPU" in run.stderr
    assert not host.told.exists()
    assert not host.out.exists()


def test_no_gpu_test_at_all_is_no_proof(host):
    host.python(tests=5)
    run = host("--out", host.out)
    assert run.returncode == 2
    assert "no GPU test ran" in run.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--minutes", "3"), "where to?"),
        (("--out", "out", "--wheels", "nowhere"), "there are no wheels in nowhere"),
        (("--out", "out"), "there is no .venv"),
    ],
)
def test_what_is_missing_is_named(host, words, said):
    run = host(*words)
    assert run.returncode == 2
    assert said in run.stderr
