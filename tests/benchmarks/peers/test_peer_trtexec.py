"""The trtexec peer over a program that speaks as trtexec does; nothing here says how fast it is."""

import os
import sys

import numpy as np
import pytest

from tests.benchmarks.tiny_unet import an_image, tiny_unet
from unetrt.benchmarks.peers.peers import open_peer, peers_named
from unetrt.errors import WorkerFailed

pytest.importorskip("onnx")

# It copies the output that the test left beside it, and times as many runs as were asked for.
FAKE = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
flags = [a[2:] for a in sys.argv[1:] if "=" not in a]
options = dict(a[2:].split("=", 1) for a in sys.argv[1:] if "=" in a)
with (here / "calls.txt").open("a") as calls:
    print(*sys.argv[1:], file=calls)
print("&&&& RUNNING TensorRT.trtexec [TensorRT v110400] # trtexec")
if "saveEngine" in options:
    if (here / "refuse").exists():
        print("[E] Error[4]: no implementation for node up1/upconv")
        sys.exit(1)
    pathlib.Path(options["saveEngine"]).write_bytes(b"engine")
if "exportOutput" in options:
    name, _, file = options["loadInputs"].partition(":")
    assert name == "image" and pathlib.Path(file).stat().st_size == 4 * 32 * 32
    output = (here / "output.json").read_text()
    pathlib.Path(options["exportOutput"]).write_text(output)
if "exportTimes" in options:
    runs = [
        {{"h2dMs": 0.25, "computeMs": 1.5, "d2hMs": 0.125, "latencyMs": 1.875 + k}}
        for k in range(int(options["iterations"]) + 1 - 2 * (here / "few").exists())
    ]
    pathlib.Path(options["exportTimes"]).write_text(json.dumps(runs))
"""


@pytest.fixture
def trtexec(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "trtexec"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program.parent


@pytest.fixture
def model(tmp_path):
    return tiny_unet(tmp_path / "tiny.onnx")


def expects(folder):
    output = np.random.default_rng(2).uniform(0, 1, (1, 32, 32, 2)).astype(np.float32)
    values = ", ".join(map(str, output.ravel().tolist()))
    (folder / "output.json").write_text(
        f'[{{"name": "probabilities", "dimensions": "1x32x32x2", "values": [{values}]}}]'
    )
    return output


TRTEXEC = peers_named(["trtexec"])[0]


def test_its_output_is_read_and_its_times_are_by_its_own_clock(trtexec, model):
    expected = expects(trtexec)
    with open_peer(TRTEXEC, model, an_image()) as peer:
        assert np.array_equal(peer.predict(), expected)
        runs = peer.time_runs(3)
    assert runs.host_ns == (1_875_000, 2_875_000, 3_875_000)
    assert runs.stages_ns["compute"] == (1_500_000,) * 3
    assert runs.stages_ns["copy_in"] == (250_000,) * 3
    assert peer.info["versions"] == {"trtexec": "v110400"}
    assert "not wall time" in peer.info["configuration"]["host_is"]
    build, *_, run = (trtexec / "calls.txt").read_text().splitlines()
    assert "--noTF32 --skipInference --onnx=" in build
    assert "--useCudaGraph --useSpinWait --iterations=3" in run


def test_a_network_that_it_refuses_is_a_failure_in_its_words(trtexec, model):
    (trtexec / "refuse").touch()
    with (
        pytest.raises(WorkerFailed, match="no implementation for node up1/upconv"),
        open_peer(TRTEXEC, model, an_image()),
    ):
        pytest.fail("opened")


def test_fewer_runs_than_asked_for_are_no_measurement(trtexec, model):
    (trtexec / "few").touch()
    with (
        open_peer(TRTEXEC, model, an_image()) as peer,
        pytest.raises(WorkerFailed, match="trtexec timed 2 runs of 3"),
    ):
        peer.time_runs(3)
