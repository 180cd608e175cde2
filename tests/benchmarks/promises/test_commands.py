"""The promises' command lines, as their users type them."""

import json
import os
import subprocess
import sys

import pytest

from tests.test_repository import ROOT
from unetrt.benchmarks.promises import __main__ as listing
from unetrt.benchmarks.promises import zoo
from unetrt.benchmarks.promises.zoo_networks import ZOO
from unetrt.gpu import find_gpu


def run(name, *words):
    return subprocess.run(
        [sys.executable, "-m", f"unetrt.benchmarks.promises{name}", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def test_every_script_is_listed_in_one_line_each(capsys):
    assert listing.main() == 0
    lines = capsys.readouterr().out.splitlines()
    scripts = {
        path.stem
        for path in (ROOT / "benchmarks" / "promises").glob("[!_]*.py")
        if "run_script(main)" in path.read_text()
    }
    assert len(scripts) == len(lines) == 11
    assert {line.split()[2].rpartition(".")[2] for line in lines} == scripts


@pytest.mark.parametrize("name", listing.PROMISES)
def test_every_promise_has_help_and_loads_nothing_heavy_for_it(name):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{name}', '--help']\n"
        f"try:\n    runpy.run_module('unetrt.benchmarks.promises.{name}', run_name='__main__')\n"
        "except SystemExit:\n    print(*({'tensorflow', 'keras', 'onnx'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert f"python -m unetrt.benchmarks.promises.{name} " in done.stdout
    assert "--out OUT" in done.stdout
    assert done.stdout.endswith("\n\n")


@pytest.mark.tf
def test_a_short_soak_keeps_every_promise(road, tmp_path):
    pytest.importorskip("openvino")
    out = tmp_path / "soak.json"
    model = road / "model.fp32.onnx"
    done = run(".soak", "--model", model, "--runs", 500, "--openings", 20, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads(out.read_text())
    assert [verdict["kept"] for verdict in written["verdicts"]] == [True] * 6
    assert set(written["backends"]) == {"onnxruntime", "openvino"}
    assert len(done.stdout.splitlines()) == 6


@pytest.mark.skipif(find_gpu() is not None, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(tmp_path):
    out = tmp_path / "out.json"
    done = run(".gpu_overhead", "model.engine", "--out", out)
    assert done.returncode == 2
    assert done.stderr == "Timing model.engine needs an NVIDIA GPU: got none.\n"
    assert not out.exists()


def test_a_network_that_is_not_in_the_zoo_is_refused(tmp_path, monkeypatch, capsys):
    argv = ["zoo", "--out", str(tmp_path / "zoo.json"), "--only", "no-such-net"]
    monkeypatch.setattr(sys, "argv", argv)
    assert zoo.run_script(zoo.main) == 2
    assert "The zoo has no such network: got no-such-net, expected fcn8-vg" in (
        capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())
    assert len(ZOO) == 34
