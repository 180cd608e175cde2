"""Read the types that a network computes in, and refuse others than were asked for."""

import json

import pytest

from tests.convert.graphs import chain
from unetrt.convert.receipt import read_inspection
from unetrt.convert.to_engine import EngineSpec, build_engine
from unetrt.errors import ReceiptError

RTX = EngineSpec(backend="tensorrt-rtx")


def receipt(path, *kinds, **fields):
    pytest.importorskip("tensorrt_rtx")
    model = chain(path / "m.onnx", *kinds, **fields)
    return build_engine(model, path / "m.engine", RTX).receipt


def test_int8_is_what_comes_dequantised_and_the_rest_is_shown(tmp_path):
    told = receipt(tmp_path, "int8", "int8", "fp32", precision="int8", kept=("conv2",))
    assert told.convolution_share == pytest.approx({"int8": 2 / 3, "fp32": 1 / 3})
    assert told.kept == {"conv2": "fp32"}


def test_bf16_with_its_upsampling_in_fp16_shows_the_share_of_each(tmp_path):
    told = receipt(tmp_path, "bf16", "fp16 up", "bf16", precision="bf16", kept=("conv1",))
    # Behind the transposed convolution the image has four times the positions.
    assert told.convolution_share == pytest.approx({"bf16": 5 / 6, "fp16": 1 / 6})
    assert (told.kept, told.casts) == ({"conv1": "fp16"}, 4)


def test_a_layer_kept_by_the_user_is_legitimate_and_named(tmp_path):
    told = receipt(tmp_path, "fp16", "fp32", precision="fp16", kept=("conv1",))
    assert told.convolution_share == {"fp16": 0.5, "fp32": 0.5}
    assert told.kept == {"conv1": "fp32"}


def test_a_layer_that_nobody_kept_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ReceiptError, match=r"asked for, fp16: got .*50.0% fp32 \(conv2: fp32"):
        receipt(tmp_path, "fp16", "fp32", "fp32", "fp16", precision="fp16", kept=("conv1",))
    assert not list(tmp_path.glob("*.engine*"))


def test_keeping_every_layer_is_no_way_to_call_fp32_fp16(tmp_path):
    with pytest.raises(ReceiptError, match=r"asked for, fp16: got 100.0% fp32, expected 100%"):
        receipt(tmp_path, "fp32", precision="fp16", kept=("conv0",))


def test_a_parser_that_changes_types_is_caught(tmp_path, monkeypatch):
    from unetrt.convert import to_engine

    monkeypatch.setattr(to_engine, "convolution_types", lambda _proto: {"conv0": "int8"})
    with pytest.raises(ReceiptError, match="types of its ONNX file: got conv0: fp32, not int8"):
        receipt(tmp_path, "fp32")


def tensors(key, *words):
    return [{"Name": "t", "Location": "Device", "Dimensions": [1, 8], key: word} for word in words]


def layer(name, kind, inputs, **more):
    return {"Name": name, "LayerType": kind, "Inputs": inputs, "Outputs": inputs, **more}


def test_the_inspector_of_version_10_is_read():
    old = "Format/Datatype"
    told = {
        "Layers": [
            layer("in", "Reformat", tensors(old, "Row major linear FP32"), Origin="REFORMAT"),
            layer("conv", "CaskConvolution", tensors(old, "Channel major FP16 format.")),
            layer("q", "CaskConvolution", tensors(old, "Thirty-two wide Int8 format.", "Float")),
            layer("up", "kgen", tensors(old, "Half")),
            layer("shape", "Constant", []),
        ],
        "Bindings": ["image", "probabilities"],
    }
    found = read_inspection(json.dumps(told))
    assert (found.layers, found.reformats) == (5, 1)
    assert found.types == {"fp16": 2, "int8": 1}
    assert found.inputs_and_outputs == ("image", "probabilities")


def test_the_inspector_of_version_11_is_read():
    def split(*types):
        return [{"Name": "t", "Format": "Row major linear", "Datatype": t} for t in types]

    told = {
        "Layers": [
            layer("Reformatting CopyNode", "Reformat", split("Float")),
            layer("conv", "Convolution", split("BFloat16", "Float")),
            layer("head", "Convolution", split("Float")),
        ],
        "I/O Tensors": [
            {"Name": "image", "IOMode": "Input", "DataType": "UInt8"},
            {"Name": "labels", "IOMode": "Output", "DataType": "UInt8"},
        ],
    }
    found = read_inspection(json.dumps(told))
    assert (found.layers, found.reformats) == (3, 1)
    assert found.types == {"bf16": 1, "fp32": 1}
    assert found.inputs_and_outputs == ("image", "labels")


def test_an_engine_without_details_lists_names_alone():
    names = ["Reformatting CopyNode for Input Tensor 0 to conv", "conv + relu"]
    found = read_inspection(json.dumps({"Layers": names, "Bindings": ["x"]}))
    assert (found.layers, found.reformats, found.types) == (2, 1, {})
