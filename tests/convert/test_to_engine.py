"""Engines are really built here, by TensorRT-RTX, which needs no GPU for it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from unetrt.artifacts import Engine, OnnxModel
from unetrt.convert.to_engine import EngineSpec, build_engine, choose_backend, default_side
from unetrt.errors import BadInput, ReceiptError, ShapeError, UnsupportedModel
from unetrt.files import sha256_of
from unetrt.tensors import ShapeRange, TensorSpec

pytest.importorskip("tensorrt_rtx")
pytestmark = pytest.mark.tf
SIZES = ShapeRange(32, 64, 128)


@pytest.mark.parametrize(("precision", "casts"), [("fp32", 0), ("fp16", 2)])
def test_the_receipt_shows_what_was_asked_for(road, precision, casts):
    engine = Engine.load(road / f"model.{precision}.engine")
    assert engine.receipt["convolution_share"] == {precision: 1.0}
    assert engine.receipt["casts"] == casts
    assert engine.receipt["convolutions"] == 13
    assert engine.receipt["tf32"] is False
    assert engine.backend == "tensorrt-rtx"
    assert engine.source["sha256"] == OnnxModel.load(road / f"model.{precision}.onnx").sha256


def test_the_flops_of_the_receipt_are_those_of_the_network(road):
    def conv(size, given, made, kernel=3):
        return 2 * size * size * kernel * kernel * given * made

    expected = (
        conv(64, 1, 4) + conv(64, 4, 4) + conv(32, 4, 8) + conv(32, 8, 8)
        + conv(16, 8, 16) + conv(16, 16, 16)
        + conv(16, 16, 8) + conv(32, 16, 8) + conv(32, 8, 8)
        + conv(32, 8, 4) + conv(64, 8, 4) + conv(64, 4, 4) + conv(64, 4, 2, kernel=1)
    )  # fmt: skip
    receipt = Engine.load(road / "model.fp32.engine").receipt
    assert receipt["shape"] == [1, 64, 64, 1]
    assert receipt["convolution_flops"] == expected


def test_an_fp16_engine_that_would_be_fp32_is_an_error_and_leaves_no_file(road, tmp_path):
    import dataclasses

    lying = dataclasses.replace(OnnxModel.load(road / "model.fp32.onnx"), precision="fp16")
    with pytest.raises(ReceiptError, match=r"not what was asked for, fp16: got 100.0% fp32"):
        build_engine(lying, tmp_path / "m.engine", EngineSpec(height=SIZES, width=SIZES))
    assert not list(tmp_path.iterdir())


def test_a_size_the_network_cannot_halve_is_refused(road, tmp_path):
    odd = EngineSpec(height=ShapeRange(30, 64, 128), width=SIZES)
    with pytest.raises(ShapeError, match="height: got 30, expected a multiple of 4.* is 32"):
        build_engine(OnnxModel.load(road / "model.fp32.onnx"), tmp_path / "m.engine", odd)


def test_a_file_the_parser_cannot_read_is_refused(tmp_path, road):
    import dataclasses

    path = tmp_path / "broken.onnx"
    path.write_bytes((road / "model.fp32.onnx").read_bytes()[:5000])
    broken = dataclasses.replace(OnnxModel.load(road / "model.fp32.onnx"), path=path)
    with pytest.raises(UnsupportedModel, match="parser refuses .*broken.onnx"):
        build_engine(broken, tmp_path / "m.engine", EngineSpec(height=SIZES, width=SIZES))


def test_an_unknown_backend_is_bad_input():
    with pytest.raises(BadInput, match="got 'openvino', expected auto or tensorrt or"):
        choose_backend("openvino")


def test_a_model_of_fixed_size_is_built_for_that_size_alone(tmp_path):
    path = tmp_path / "fixed.onnx"
    make = helper.make_node
    nodes = [
        make("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        make("Conv", ["t", "w"], ["c"], name="conv"),
        make("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
    ]
    shapes = {"x": ("batch", 8, 16, 1), "y": ("batch", 8, 16, 2)}
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    kernel = numpy_helper.from_array(np.ones((2, 1, 1, 1), np.float32), "w")
    graph = helper.make_graph(nodes, "fixed", tensors[:1], tensors[1:], [kernel])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    specs = [TensorSpec(name, "float32", shape) for name, shape in shapes.items()]
    model = OnnxModel(path, sha256_of(path), inputs=(specs[0],), outputs=(specs[1],))
    with pytest.raises(ShapeError, match=r"has a fixed height: got 256:256:512, expected 8"):
        build_engine(model, tmp_path / "m.engine")
    height, width = (default_side(own) for own in shapes["x"][1:3])
    engine = build_engine(model, tmp_path / "m.engine", EngineSpec(height=height, width=width))
    assert engine.receipt["shape"] == [1, 8, 16, 1]
