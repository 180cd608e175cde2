import json

import pytest

from unetrt.benchmarks.networks.skeletons import fill_skeleton
from unetrt.benchmarks.roofline.engine_profile import engine_shares, operators
from unetrt.engine_layers import read_engine_layers
from unetrt.errors import CheckFailed

KINDS = {
    "down1/conv1": "Conv", "down1/relu1/relu": "Relu", "up1/upconv": "ConvTranspose",
    "up1/concat": "Concat", "probabilities": "Softmax", "down2/conv1": "Conv",
}  # fmt: skip


def layers(*told):
    return read_engine_layers(json.dumps({"Layers": list(told)})).layers


def layer(name, kind, *nodes, **more):
    metadata = "\u001e".join(f"[ONNX Layer: {node}]" for node in nodes)
    return {"Name": name, "LayerType": kind, "Metadata": metadata, **more}


def test_the_nodes_of_a_layer_are_read():
    (one,) = layers(layer("__myl_ConvRelu", "kgen", "down1/conv1", "down1/relu1/relu"))
    assert one.nodes == ("down1/conv1", "down1/relu1/relu")


def test_time_goes_to_kinds_and_blocks():
    told = layers(
        layer("a", "CaskConvolution", "down1/conv1", "down1/relu1/relu"),
        layer("b", "CaskDeconvolutionV2", "up1/upconv"),
        layer("c", "Reformat", "up1/upconv", Origin="REFORMAT"),
        layer("d", "NoOp", "up1/concat"),
        layer("e", "SoftMax", "probabilities"),
    )
    times = {"a": [4, 5, 90], "b": [2.0], "c": [1.0], "d": [1.0], "e": [1.0]}
    shares = engine_shares(told, times, KINDS)
    assert shares.kinds == {
        "convolutions": 0.5, "transposed convolutions": 0.2, "reformats": 0.1, "copies": 0.1,
        "others": 0.1,
    }  # fmt: skip
    assert shares.blocks == {"down1": 0.5, "up1": pytest.approx(0.4), "probabilities": 0.1}
    assert sum(shares.kinds.values()) == pytest.approx(1)
    assert shares.to_json()["runs"] == 3


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("down1/conv1 + down1/relu1/relu", "down1"),
        ("PWN(down1/relu1/relu)", "down1"),
        ("{ForeignNode[down1/conv1...down2/conv1]}", "down1, down2"),
        ("down2/conv1_myl0_12", "down2"),
        ("Reformatting CopyNode for Input Tensor 0 to down1/conv1", ""),
    ],
)
def test_without_metadata_the_layer_s_name_tells(name, block):
    shares = engine_shares(layers(name), {name: [1.0]}, KINDS)
    assert shares.blocks == {block: 1.0}


def test_a_layer_of_both_kinds_is_called_so():
    told = layers(layer("x", "kgen", "down1/conv1", "up1/upconv"))
    found = engine_shares(told, {"x": [1.0]}, KINDS)
    assert found.kinds == {"convolutions and transposed convolutions": 1.0}


@pytest.mark.parametrize("times", [{}, {"other": [1.0]}, {"x": [0.0]}, {"x": []}])
def test_times_of_no_layer_are_refused(times):
    with pytest.raises(CheckFailed, match="The profiler's layers are not those of the engine"):
        engine_shares(layers(layer("x", "kgen")), times, KINDS)


def test_the_nodes_of_a_file_have_kinds(tmp_path):
    kinds = operators(fill_skeleton("small", tmp_path / "m.onnx"))
    assert kinds["up3/upconv"] == "ConvTranspose"
    assert kinds["down2/conv1"] == "Conv"
