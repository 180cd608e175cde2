"""Build engines for real, with TensorRT-RTX, which needs no GPU for it."""

import errno
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto

from tests.convert.graphs import chain, make, rand, save
from unetrt import vendor
from unetrt.artifacts import Engine, OnnxModel
from unetrt.convert.to_engine import EngineSpec, build_engine, choose_backend, with_byte_pairs
from unetrt.errors import (
    ArtifactError,
    BadInput,
    NoDevice,
    OutputError,
    ReceiptError,
    ShapeError,
    UnsupportedModel,
)
from unetrt.gpu import find_gpu
from unetrt.tensors import ShapeRange

pytest.importorskip("tensorrt_rtx")
SIZES = ShapeRange(32, 64, 128)
RTX = "tensorrt-rtx"


def build(model, **spec):
    """Build beside the model; what a failure leaves behind is seen there."""
    return build_engine(model, model.path.with_suffix(".engine"), EngineSpec(backend=RTX, **spec))


def left(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.tf
@pytest.mark.parametrize(("precision", "casts"), [("fp32", 0), ("fp16", 2)])
def test_the_receipt_shows_what_was_asked_for(road, precision, casts):
    engine = Engine.load(road / f"model.{precision}.engine")
    assert engine.receipt.convolution_share == {precision: 1.0}
    assert engine.receipt.casts == casts
    assert engine.receipt.convolutions == 13
    assert engine.receipt.tf32 is False
    assert engine.backend == RTX
    assert engine.source["sha256"] == OnnxModel.load(road / f"model.{precision}.onnx").sha256


@pytest.mark.tf
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
    assert receipt.shape == (1, 64, 64, 1)
    assert receipt.convolution_flops == expected


@pytest.mark.tf
def test_a_size_the_network_cannot_halve_is_refused(road, tmp_path):
    odd = EngineSpec(height=ShapeRange(30, 64, 128), width=SIZES)
    with pytest.raises(ShapeError, match="height: got 30, expected a multiple of 4.* is 32"):
        build_engine(OnnxModel.load(road / "model.fp32.onnx"), tmp_path / "m.engine", odd)


def test_an_engine_remembers_what_it_was_built_with(tmp_path):
    model = chain(tmp_path / "m.onnx", "fp32")
    build(model, batch=ShapeRange(1, 4, 16), height=SIZES, targets=("8.6", "8.9"), tf32=True)
    engine = Engine.load(tmp_path / "m.engine")
    assert engine.profiles["image"] == ((1, 3, 32, 256), (4, 3, 64, 256), (16, 3, 128, 512))
    assert engine.target.compute_capabilities == ("8.6", "8.9")
    assert engine.made_with["spec"]["backend"] == RTX
    assert (engine.receipt.tf32, engine.receipt.inspection) == (True, None)
    assert (engine.layout, engine.inputs, engine.outputs) == ("NCHW", model.inputs, model.outputs)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_cameras_bytes_go_straight_in(tmp_path, dtype):
    engine = build(chain(tmp_path / "m.onnx", "fp16", input_dtype=dtype, precision="fp16"))
    assert engine.inputs[0].dtype == dtype
    assert engine.receipt.convolution_share == {"fp16": 1.0}
    assert engine.receipt.shape == (1, 3, 256, 256)


def test_several_inputs_and_outputs_of_any_rank(tmp_path):
    image = ("batch", 1, "height", "width")
    nodes = [
        make("Conv", ["image", "k"], ["c"], name="conv"),
        make("MatMul", ["vector", "m"], ["v"], name="dense"),
        make("Unsqueeze", ["v", "axes"], ["v4"], name="spread"),
        make("Add", ["c", "v4"], ["sum"], name="add"),
        make("ArgMax", ["sum"], ["index"], name="argmax", axis=1, keepdims=0),
        make("Cast", ["index"], ["labels"], name="labels", to=TensorProto.UINT8),
    ]
    model = save(
        tmp_path / "m.onnx",
        nodes,
        {"image": ("float32", image), "vector": ("float32", ("batch", 5))},
        {"sum": ("float32", ("batch", 4, *image[2:])), "labels": ("uint8", ("batch", *image[2:]))},
        {"k": rand(4, 1, 1, 1), "m": rand(5, 4), "axes": np.int64([2, 3])},
    )
    engine = build(model, batch=ShapeRange(2, 2, 2), height=SIZES, width=SIZES)
    assert engine.profiles["vector"] == ((2, 5),) * 3
    assert engine.receipt.matmul_share == {"fp32": 1.0}
    assert engine.receipt.convolution_flops == 2 * 2 * 64 * 64 * 4
    assert [tensor.name for tensor in engine.outputs] == ["sum", "labels"]


def test_weights_in_a_file_beside_it_are_found(tmp_path):
    engine = build(chain(tmp_path / "m.onnx", "fp32", "fp32", external=True))
    assert engine.receipt.convolutions == 2


@pytest.mark.parametrize("place", ["../m.onnx.data", "/etc/hostname", "gone.data"])
def test_weights_in_a_file_that_is_not_its_own_are_refused(tmp_path, place):
    folder = tmp_path / "own"
    folder.mkdir()
    model = chain(folder / "m.onnx", "fp32", external=True)
    (folder / "m.onnx.data").rename(tmp_path / "m.onnx.data")
    proto = onnx.load(model.path, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        entry.value = place if entry.key == "location" else entry.value
    onnx.save(proto, model.path)
    with pytest.raises(ArtifactError, match=f"keeps the weights 'w0' .*: got {place}"):
        build(model)
    assert left(folder) == ["m.onnx"]


def test_a_model_of_fixed_size_is_built_for_that_size_alone(tmp_path):
    nodes = [
        make("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        make("Conv", ["t", "w"], ["c"], name="conv"),
        make("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
    ]
    ends = {"x": ("float32", ("batch", 8, 16, 1))}, {"y": ("float32", ("batch", 8, 16, 2))}
    model = save(tmp_path / "m.onnx", nodes, *ends, {"w": rand(2, 1, 1, 1)}, layout="NHWC")
    with pytest.raises(ShapeError, match=r"has a fixed height: got 32:64:128, expected 8"):
        build(model, height=SIZES)
    assert build(model).receipt.shape == (1, 8, 16, 1)
    assert build(model, height=ShapeRange(8, 8, 8)).profiles["x"].max == (8, 8, 16, 1)


def test_a_free_axis_that_is_no_batch_or_side_is_named(tmp_path):
    nodes = [make("Conv", ["x", "w"], ["y"], name="conv")]
    ends = {"x": ("float32", ("batch", 3, "length"))}, {"y": ("float32", ("batch", 4, "length"))}
    model = save(tmp_path / "m.onnx", nodes, *ends, {"w": rand(4, 3, 1)})
    with pytest.raises(ShapeError, match=r"Input 'x' .*got float32\[batch, 3, length\].*fixed"):
        build(model)


def test_an_fp16_engine_that_would_be_fp32_is_an_error_and_leaves_no_file(tmp_path):
    lying = chain(tmp_path / "m.onnx", "fp32", precision="fp16")
    with pytest.raises(ReceiptError, match=r"not what was asked for, fp16: got 100.0% fp32"):
        build(lying)
    assert left(tmp_path) == ["m.onnx"]


def test_an_operator_that_tensorrt_lacks_is_named_with_its_layer(tmp_path):
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="conv"),
        make("Det", ["c"], ["d"], name="head/determinant"),
    ]
    ends = {"x": ("float32", ("batch", 3, 8, 8))}, {"d": ("float32", ("batch", 4))}
    model = save(tmp_path / "m.onnx", nodes, *ends, {"w": rand(4, 3, 1, 1)})
    with pytest.raises(UnsupportedModel, match="layer 'head/determinant', operator Det, which it"):
        build(model)
    assert left(tmp_path) == ["m.onnx"]


def test_bf16_upsampling_is_refused_by_the_name_of_its_layer(tmp_path):
    model = chain(tmp_path / "m.onnx", "bf16", "bf16 up", precision="bf16")
    with pytest.raises(
        UnsupportedModel, match=r"no BF16 kernel .*conv1 in bf16.*`keep=\('conv1',\)`"
    ):
        build(model)
    assert left(tmp_path) == ["m.onnx"]
    kept = chain(tmp_path / "m.onnx", "bf16", "fp32 up", precision="bf16", kept=("conv1",))
    assert set(build(kept).receipt.convolution_share) == {"bf16", "fp32"}


@pytest.mark.skipif(find_gpu() is not None, reason="a GPU can")
@pytest.mark.parametrize("option", ["refittable", "stripped"])
def test_what_takes_a_gpu_says_so(tmp_path, option):
    with pytest.raises(NoDevice, match=f"a {option} engine without a GPU: .*or without `{option}`"):
        build(chain(tmp_path / "m.onnx", "fp32"), **{option: True})
    assert left(tmp_path) == ["m.onnx"]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (
            {"hardware_compatibility": "ampere-plus"},
            "tensorrt-rtx has no `hardware_compatibility`; ",
        ),
        ({"version_compatible": True}, "tensorrt-rtx has no `version_compatible`; .*`targets`"),
        ({"targets": ("9.0",)}, "compute capability: got '9.0', expected 7.5, 8.0, 8.6, 8.9, 12.0"),
        ({"targets": ("hopper",)}, "got 'hopper', expected .* current or all"),
        (
            {"workspace_bytes": 1000},
            "in a workspace of 0.000953674 MiB: got .*raise `workspace_bytes`",
        ),
    ],
)
def test_an_option_that_the_backend_has_not_got_is_bad_input(tmp_path, option, expected):
    with pytest.raises(BadInput, match=expected):
        build(chain(tmp_path / "m.onnx", "fp32"), **option)
    assert left(tmp_path) == ["m.onnx"]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ({"optimization_level": 6}, "optimisation level: got 6, expected 0 to 5"),
        ({"workspace_bytes": 0}, "workspace: got 0, expected at least 1 byte"),
        ({"hardware_compatibility": "any"}, "got 'any', expected ampere-plus or same-compute"),
    ],
)
def test_an_option_out_of_range_is_bad_input(option, expected):
    with pytest.raises(BadInput, match=expected):
        EngineSpec(**option)


@pytest.mark.skipif(find_gpu() is not None, reason="needs a machine without a GPU")
def test_the_current_gpu_as_target_takes_a_gpu(tmp_path):
    with pytest.raises(NoDevice, match=r"for the current GPU: .*`targets=\('7.5', '8.0', "):
        build(chain(tmp_path / "m.onnx", "fp32"), targets=("current",))


def test_all_targets_are_those_the_library_has(tmp_path):
    build(chain(tmp_path / "m.onnx", "fp32"), targets=("all",))
    with pytest.raises(BadInput, match="current stands alone|no NVIDIA GPU"):
        build(chain(tmp_path / "m.onnx", "fp32"), targets=("current", "8.6"))


def test_no_disk_space_is_told_and_leaves_the_old_engine(tmp_path, monkeypatch):
    model = chain(tmp_path / "m.onnx", "fp32")
    old = build(model).path.read_bytes()

    def full(_path, _content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device; choose a folder"):
        build(model, tf32=True)
    assert left(tmp_path) == ["m.engine", "m.engine.json", "m.onnx"]
    assert (tmp_path / "m.engine").read_bytes() == old


@pytest.mark.parametrize("length", [0, 5, 300])
def test_a_file_that_is_cut_short_is_refused(tmp_path, length):
    model = chain(tmp_path / "m.onnx", "fp32")
    model.path.write_bytes(model.path.read_bytes()[:length])
    with pytest.raises((ArtifactError, UnsupportedModel), match=r"m\.onnx"):
        build(model)
    assert left(tmp_path) == ["m.onnx"]


def test_a_library_from_before_strong_typing_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="8.6.1"))
    with pytest.raises(BadInput, match=r"got 8.6.1, expected 10.12 or newer; .*unetrt\[tensorrt\]"):
        vendor.tensorrt("tensorrt")


def test_an_unknown_backend_is_bad_input():
    with pytest.raises(BadInput, match="got 'openvino', expected auto or tensorrt or"):
        choose_backend("openvino")


@pytest.mark.skipif(find_gpu() is not None, reason="needs a machine without a GPU")
def test_tensorrt_without_a_gpu_says_where_to_build(tmp_path):
    model = chain(tmp_path / "m.onnx", "fp32")
    with pytest.raises(NoDevice, match="build there, or with `backend='tensorrt-rtx'`"):
        build_engine(model, tmp_path / "m.engine", EngineSpec(backend="tensorrt"))


def test_warnings_of_the_builder_are_kept(tmp_path):
    nodes = [
        make("Conv", ["x", "w"], ["c"], name="twice"),
        make("Relu", ["c"], ["y"], name="twice"),
    ]
    ends = {"x": ("float32", ("batch", 3, 8, 8))}, {"y": ("float32", ("batch", 4, 8, 8))}
    engine = build(save(tmp_path / "m.onnx", nodes, *ends, {"w": rand(4, 3, 1, 1)}))
    assert any("twice already exists" in warning for warning in engine.warnings)
    assert Engine.load(engine.path).warnings == engine.warnings


@pytest.fixture(scope="module")
def byte_pair_sessions(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "m.onnx"
    original = onnx.load(chain(path, "fp32", input_dtype="uint16").path)
    before = original.SerializeToString()
    paired = with_byte_pairs(original)
    assert original.SerializeToString() == before
    onnx.checker.check_model(paired, full_check=True)
    providers = ["CPUExecutionProvider"]
    return [
        ort.InferenceSession(m.SerializeToString(), providers=providers) for m in (original, paired)
    ]


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.uint16, (1, 3, 4, 4), elements=st.integers(0, 2**16 - 1)))
def test_pixels_and_their_bytes_give_the_same(byte_pair_sessions, pixels):
    original, paired = byte_pair_sessions
    octets = pixels.astype("<u2").view(np.uint8).reshape(*pixels.shape, 2)
    expected = original.run(None, {"image": pixels})[0]
    np.testing.assert_array_equal(paired.run(None, {"image": octets})[0], expected)


def test_other_inputs_are_left_as_they_are(tmp_path):
    assert with_byte_pairs(onnx.load(chain(tmp_path / "m.onnx", "fp32").path)) is None


def test_sixteen_bits_that_the_network_computes_with_are_refused(tmp_path):
    ends = {"x": ("uint16", (1, 4))}, {"y": ("uint16", (1, 4))}
    model = save(tmp_path / "m.onnx", [make("Identity", ["x"], ["y"], name="same")], *ends)
    with pytest.raises(UnsupportedModel, match=r"input 'x' is used as such: got node 'same' \(Id"):
        with_byte_pairs(onnx.load(model.path))
