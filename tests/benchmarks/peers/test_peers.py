import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.tiny_unet import SIDE, an_image, tiny_unet
from tests.processes import children
from unetrt.benchmarks.agreement import Reference, check_agreement
from unetrt.benchmarks.peers import peers
from unetrt.benchmarks.peers.peers import (
    PEERS,
    TORCH_PYTHON,
    open_peer,
    peers_available,
    peers_named,
)
from unetrt.errors import BadInput, ShapeError, WorkerFailed
from unetrt.precision import Precision

AVAILABLE = peers_available()


@pytest.fixture(autouse=True)
def forgotten():
    peers._missing.cache_clear()


def needs(*names):
    """Skip, saying why, where one of these peers cannot run."""
    for name in names:
        if AVAILABLE[name] is not None:
            pytest.skip(f"{name} {AVAILABLE[name]}")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("onnx")
    return tiny_unet(tmp_path_factory.mktemp("peers") / "tiny.onnx")


def test_every_peer_has_a_name_of_its_own_and_its_job_is_there():
    assert len({peer.name for peer in PEERS}) == len(PEERS) > 20
    jobs = Path(peers.__file__).parent / "children"
    assert all((jobs / f"{peer.job}.py").is_file() for peer in PEERS)
    assert all(peer.needs or peer.program for peer in PEERS)


def test_an_unknown_peer_is_refused_with_the_known_ones():
    assert [peer.name for peer in peers_named(["openvino"])] == ["openvino"]
    with pytest.raises(BadInput, match="There is no such peer: got tvm, expected onnxruntime or"):
        peers_named(["openvino", "tvm"])


def test_to_ask_which_are_there_imports_none_of_them():
    code = (
        "import sys; from unetrt.benchmarks.peers.peers import peers_available; peers_available()\n"
        "print(*{n.partition('.')[0] for n in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "unetrt" in loaded
    assert not loaded & {"tensorflow", "keras", "torch", "onnx", "onnxruntime", "openvino"}


def test_what_is_missing_names_the_extra_that_brings_it(monkeypatch):
    monkeypatch.delenv(TORCH_PYTHON, raising=False)
    monkeypatch.setattr(peers.vendor, "installed", lambda _module: False)
    reasons = peers_available()
    assert reasons["openvino"] == "needs openvino: pip install 'unetrt[openvino]'"
    assert reasons["torch-compile-fp32"] == "needs torch, onnx: pip install 'unetrt[peers]'"
    assert reasons["keras-xla"] is not None


def test_a_gpu_s_peers_need_one_and_trtexec_its_program(monkeypatch):
    monkeypatch.setattr(peers, "find_gpu", lambda: None)
    assert peers_available()["torch-graphs-fp16-gpu"] == "needs an NVIDIA GPU"
    monkeypatch.setattr(peers, "find_gpu", object)
    monkeypatch.setenv("PATH", "")
    assert peers_available()["trtexec"] == "needs trtexec on the PATH"
    monkeypatch.setattr(peers.vendor, "version", lambda _package: None)
    assert "onnxruntime-gpu" in peers_available()["onnxruntime-cuda"]


def test_torch_may_live_with_another_interpreter(monkeypatch, tmp_path):
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho torch\n")
    fake.chmod(0o755)
    monkeypatch.setenv(TORCH_PYTHON, str(fake))
    assert "needs torch:" in peers_available()["torch-eager-fp32"]
    assert peers.peer_python(*peers_named(["openvino"])) == sys.executable
    monkeypatch.setenv(TORCH_PYTHON, "/no-such-python")
    reason = peers_available()["torch-eager-fp32"]
    assert reason == "needs a Python that runs: UNETRT_TORCH_PYTHON is /no-such-python"


@pytest.mark.parametrize("name", ["onnxruntime", "openvino-f32"])
def test_a_peer_agrees_is_timed_and_says_how_it_is_configured(model, name):
    needs("onnxruntime", name)
    with open_peer(PEERS[0], model, an_image()) as bare:
        reference = Reference("bare", bare.predict())
    with open_peer(*peers_named([name]), model, an_image()) as peer:
        runs = peer.time_runs(5)
        assert (peer.name, peer.precision) == (name, Precision.FP32)
        assert len(runs.host_ns) == 5
        assert min(runs.host_ns) > 0
        assert peer.info["computes_in"] == "float32"
        assert peer.info["configuration"]
        assert all(peer.info["versions"].values())
        agreement = check_agreement(peer, reference)
        assert agreement.max_abs_diff <= 1e-4
        assert agreement.labels_that_differ <= 0.01


@pytest.mark.parametrize("name", ["onnxruntime", "openvino-f32"])
def test_an_idle_peer_leaves_the_cpu_to_the_others(model, name):
    needs(name)
    with open_peer(*peers_named([name]), model, an_image()) as peer:
        peer.time_runs(20)
        pid = peer._worker._process.pid
        before = cpu_seconds(pid)
        time.sleep(0.5)
        # Two threads that spin would take up to a second.
        assert cpu_seconds(pid) - before <= 0.1


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_file_s_own_precision_counts_where_it_is_the_coarser(model):
    needs("onnxruntime")
    with open_peer(PEERS[0], replace(model, precision="fp16"), an_image()) as peer:
        assert (peer.info["computes_in"], peer.precision) == ("float32", Precision.FP16)


def test_it_ends_when_the_measuring_fails(model):
    needs("onnxruntime")
    before = children()
    with pytest.raises(RuntimeError, match="as said"), open_peer(PEERS[0], model, an_image()):
        assert children() > before
        raise RuntimeError("as said")
    assert children() == before


def test_a_job_that_is_not_there_is_said(model):
    before = children()
    broken = peers.Peer(name="broken", job="no_such_job")
    with (
        pytest.raises(WorkerFailed, match="broken died: .*No module named"),
        open_peer(broken, model, an_image()),
    ):
        pytest.fail("opened")
    assert children() == before


def test_an_image_that_does_not_fit_is_refused_before_anything_starts(model):
    with (
        pytest.raises(ShapeError, match="'image' does not fit"),
        open_peer(PEERS[0], model, np.zeros((1, SIDE, SIDE, 3), np.float32)),
    ):
        pytest.fail("opened")


def test_a_child_that_takes_too_long_to_open_is_a_failure(model):
    needs("onnxruntime")
    with (
        pytest.raises(WorkerFailed, match="onnxruntime was stopped"),
        open_peer(PEERS[0], model, an_image(), open_s=0.05),
    ):
        pytest.fail("opened")


def test_a_peer_that_chooses_its_precision_takes_no_other_file(model):
    half = replace(model, precision="fp16")
    with (
        pytest.raises(BadInput, match="takes a float32 file: got tiny.onnx in fp16"),
        open_peer(*peers_named(["torch-eager-fp32"]), half, an_image()),
    ):
        pytest.fail("opened")
