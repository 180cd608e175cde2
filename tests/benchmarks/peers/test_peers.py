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
from unetrt.benchmarks.peers import open_peers as peer_candidate
from unetrt.benchmarks.peers import peers
from unetrt.benchmarks.peers.open_peers import Limits, open_peer, open_peers, reference_answer
from unetrt.benchmarks.peers.peers import PEERS, TORCH_PYTHON, peers_available, peers_named
from unetrt.errors import BadInput, ParityError, ShapeError, WorkerFailed

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


@pytest.fixture(scope="module")
def expected(model):
    needs("onnxruntime")
    return reference_answer(model, an_image())


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


@pytest.mark.parametrize(
    ("name", "computes_in"), [("onnxruntime", "float32"), ("openvino-f32", "float32")]
)
def test_a_peer_agrees_is_timed_and_says_how_it_is_configured(model, expected, name, computes_in):
    needs(name)
    with open_peers(peers_named([name]), model, an_image(), expected=expected) as opened:
        assert opened.failures == {}
        (peer,) = opened.candidates
        turn = peer.time_runs(5)
        assert peer.name == name
        assert len(turn.host_ns) == 5
        assert min(turn.host_ns) > 0
        assert peer.info["computes_in"] == computes_in
        assert peer.info["configuration"]
        assert all(peer.info["versions"].values())
        assert peer.parity["max_abs_diff"] <= 1e-4
        assert peer.parity["labels_that_differ"] <= 0.01


def test_an_idle_peer_leaves_the_cpu_to_the_others(model, expected):
    names = ["onnxruntime", "openvino-f32"]
    needs(*names)
    with open_peers(peers_named(names), model, an_image(), expected=expected) as opened:
        for peer in opened.candidates:
            peer.time_runs(20)
            pid = peer._worker._process.pid
            before = cpu_seconds(pid)
            time.sleep(0.5)
            # Two threads that spin would take up to a second.
            assert cpu_seconds(pid) - before <= 0.1, peer.name


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_threads_are_passed_on(model, expected):
    needs("openvino-f32")
    peer = peers_named(["openvino-f32"])
    with open_peers(peer, model, an_image(), expected=expected, threads=1) as opened:
        assert opened.candidates[0].info["configuration"]["INFERENCE_NUM_THREADS"] == 1


def test_one_that_fails_and_one_that_disagrees_do_not_stop_the_others(model, expected, monkeypatch):
    needs("onnxruntime", "openvino-f32")
    own = peer_candidate.PeerCandidate.predict

    def predict(self):
        return own(self) + (0.01 if self.name == "openvino-f32" else 0)

    monkeypatch.setattr(peer_candidate.PeerCandidate, "predict", predict)
    # No GPU is asked for here, so that this one fails where there is one too.
    broken = peers.Peer(name="broken", job="no_such_job")
    chosen = (broken, *peers_named(["openvino-f32", "onnxruntime"]))
    before = children()
    with open_peers(chosen, model, an_image(), expected=expected) as opened:
        assert [peer.name for peer in opened.candidates] == ["onnxruntime"]
        assert "No module named" in opened.failures["broken"]
        assert "openvino-f32 disagrees with ONNX Runtime" in opened.failures["openvino-f32"]
        assert len(children() - before) == 1
    assert children() == before


def test_all_are_closed_when_the_measuring_fails(model, expected):
    needs("onnxruntime")
    before = children()
    with (
        pytest.raises(RuntimeError, match="as said"),
        open_peers(peers_named(["onnxruntime"]), model, an_image(), expected=expected),
    ):
        assert children() > before
        raise RuntimeError("as said")
    assert children() == before


def test_an_answer_of_nothing_but_nan_or_of_another_shape_is_refused(model, expected, monkeypatch):
    needs("onnxruntime")
    with open_peer(PEERS[0], model, an_image()) as peer:
        for answer, words in (
            (np.full_like(expected, np.nan), "got a value off by nan"),
            (expected[:, :, :-1], "gives another shape"),
        ):
            monkeypatch.setattr(peer, "predict", lambda answer=answer: answer)
            with pytest.raises(ParityError, match=words):
                peer.check(expected)


def test_bfloat16_does_not_excuse_an_answer_in_the_middle_of_everything(model, expected):
    needs("onnxruntime")
    with open_peer(PEERS[0], model, an_image()) as peer:
        peer.info["computes_in"] = "bfloat16"
        peer.predict = lambda: np.full_like(expected, 2.0)
        with pytest.raises(ParityError, match="onnxruntime disagrees"):
            peer.check(expected)


def test_a_flat_reference_is_no_reference(tmp_path):
    needs("onnxruntime")
    flat = tiny_unet(tmp_path / "flat.onnx", flat=True)
    with (
        pytest.raises(ParityError, match="The reference's answer says nothing"),
        open_peers((), flat, an_image()),
    ):
        pytest.fail("opened")


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
        open_peer(PEERS[0], model, an_image(), limits=Limits(open_s=0.05)),
    ):
        pytest.fail("opened")


def test_a_peer_that_chooses_its_precision_takes_no_other_file(model):
    half = replace(model, precision="fp16")
    with (
        pytest.raises(BadInput, match="takes a float32 file: got tiny.onnx in fp16"),
        open_peer(*peers_named(["torch-eager-fp32"]), half, an_image()),
    ):
        pytest.fail("opened")
