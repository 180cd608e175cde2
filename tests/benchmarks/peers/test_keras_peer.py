"""The Keras peers: the builder's network with the ONNX file's weights, or the Keras file."""

import numpy as np
import pytest

from tests.benchmarks.tiny_unet import an_image, tiny_unet
from unetrt.benchmarks.peers.open_peers import open_peers
from unetrt.benchmarks.peers.peers import peers_available, peers_named

pytestmark = [pytest.mark.tf, pytest.mark.slow]

for _peer in ("keras-function", "onnxruntime"):
    _obstacle = peers_available()[_peer]
    if _obstacle is not None:
        pytest.skip(f"{_peer} {_obstacle}", allow_module_level=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_unet(tmp_path_factory.mktemp("keras") / "tiny.onnx")


@pytest.mark.parametrize("name", ["keras-predict", "keras-function", "keras-xla"])
def test_keras_takes_the_file_s_weights(model, name):
    with open_peers(peers_named([name]), model, an_image()) as opened:
        assert opened.failures == {}
        assert opened.candidates[0].parity["max_abs_diff"] <= 1e-4
        assert len(opened.candidates[0].time_runs(2).host_ns) == 2


def test_keras_refuses_a_graph_that_the_builder_does_not_make(tmp_path):
    strange = tiny_unet(tmp_path / "strange.onnx", extra_node="Softsign")
    with open_peers(peers_named(["keras-function"]), strange, an_image()) as opened:
        reason = opened.failures["keras-function"]
    assert "got nodes Softsign" in reason
    assert "give the Keras file itself" in reason


def test_a_network_that_the_file_does_not_tell_comes_from_its_keras_file(tmp_path):
    from unetrt import vendor

    vendor.keras()
    from unetrt.builder import UNetSpec, build_unet
    from unetrt.convert.to_onnx import export_onnx

    spec = UNetSpec(
        shape=(32, 32, 1), n_classes=2, filters=(4,), bottleneck=8, normalization="group"
    )
    network = build_unet(spec)
    network.save(tmp_path / "model.keras")
    exported = export_onnx(network, tmp_path / "model.onnx")
    image = np.random.default_rng(1).uniform(0, 255, (1, 32, 32, 1)).astype(np.float32)
    chosen = peers_named(["keras-function"])
    with open_peers(chosen, exported, image) as opened:
        assert "give the Keras file itself" in opened.failures["keras-function"]
    with open_peers(chosen, exported, image, keras_file=tmp_path / "model.keras") as opened:
        assert opened.failures == {}
