"""The Keras peers: the builder's network with the ONNX file's weights."""

import pytest

from tests.benchmarks.tiny_unet import an_image, tiny_unet
from unetrt.benchmarks.agreement import Reference, check_agreement
from unetrt.benchmarks.peers.peers import open_peer, peers_available, peers_named
from unetrt.errors import WorkerFailed

pytestmark = [pytest.mark.tf, pytest.mark.slow]

for _peer in ("keras-function", "onnxruntime"):
    _obstacle = peers_available()[_peer]
    if _obstacle is not None:
        pytest.skip(f"{_peer} {_obstacle}", allow_module_level=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_unet(tmp_path_factory.mktemp("keras") / "tiny.onnx")


@pytest.fixture(scope="module")
def reference(model):
    with open_peer(*peers_named(["onnxruntime"]), model, an_image()) as bare:
        return Reference(bare.name, bare.predict())


@pytest.mark.parametrize("name", ["keras-predict", "keras-function", "keras-xla"])
def test_keras_takes_the_file_s_weights(model, reference, name):
    with open_peer(*peers_named([name]), model, an_image()) as peer:
        assert check_agreement(peer, reference).max_abs_diff <= 1e-4
        assert len(peer.time_runs(2).host_ns) == 2


def test_keras_refuses_a_graph_that_the_builder_does_not_make(tmp_path):
    strange = tiny_unet(tmp_path / "strange.onnx", extra_node="Softsign")
    words = "got nodes Softsign.*the builder's U-Nets without normalisation alone"
    with (
        pytest.raises(WorkerFailed, match=words),
        open_peer(*peers_named(["keras-function"]), strange, an_image()),
    ):
        pytest.fail("opened")
