"""Convert a float32 file to another precision, or refuse with the reason."""

import json
import subprocess
import sys

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, checker

from tests.convert.graphs import ODDITIES, PICTURE, make, model_of, rand, small_unet
from unetrt.artifacts import OnnxModel
from unetrt.convert.activations import Activations
from unetrt.convert.onnx_file import write_onnx
from unetrt.convert.precision import (
    PRECISIONS,
    PrecisionSpec,
    simulate_bfloat16,
    to_precision,
)
from unetrt.errors import BadInput, UnsupportedModel
from unetrt.sizes import SizeRule


def written(graph, path, **fields):
    fields = {"source": {"file": "model.keras"}, "made_with": {}, "precision": "fp32"} | fields
    return write_onnx(graph, path, about={"normalization": {"mean": 1}}, **fields)


@pytest.fixture
def unet(tmp_path):
    """A small float32 U-Net, NCHW at its edges."""
    return written(
        small_unet(),
        tmp_path / "unet.onnx",
        layout="NCHW",
        classes=("a", "b", "c"),
        sizes=SizeRule(2),
    )


def images(count=4, shape=(16, 16, 1)):
    return [np.random.default_rng(k).normal(size=shape).astype(np.float32) for k in range(count)]


def outputs_of(path, name="y"):
    """Run the file node by node, as its types say; four pictures."""
    activations = Activations(path, [name])
    feeds = [np.moveaxis(image, -1, 0)[np.newaxis] for image in images()]
    return np.stack([dict(activations.run({"x": x}))[name] for x in feeds])


def kernel_types(path):
    graph = ir.load(path).graph
    return {n.name: n.inputs[1].dtype.name for n in graph if n.op_type.startswith("Conv")}


@pytest.mark.parametrize(
    ("spec", "types", "kept"),
    [
        (PrecisionSpec(precision="fp32"), {"FLOAT"}, []),
        (PrecisionSpec(), {"FLOAT16"}, []),
        (PrecisionSpec(precision="bf16"), {"BFLOAT16", "FLOAT"}, ["up"]),
        (PrecisionSpec(precision="int8"), {"FLOAT"}, ["first", "up"]),
        (PrecisionSpec(precision="int8", rest="fp16"), {"FLOAT16"}, ["first", "up"]),
    ],
    ids=["fp32", "fp16", "bf16", "int8", "int8 and fp16"],
)
def test_each_precision_is_a_whole_file_that_says_what_it_is(unet, tmp_path, spec, types, kept):
    made = to_precision(unet, tmp_path / "made.onnx", spec, data=images())
    checker.check_model(str(made.path), full_check=True)
    assert OnnxModel.load(made.path).sha256 == made.sha256
    assert made.precision == spec.precision
    assert made.kept == tuple(kept)
    assert (made.classes, made.layout, made.sizes) == (("a", "b", "c"), "NCHW", SizeRule(2))
    assert made.source == unet.as_source
    assert made.inputs == unet.inputs
    assert made.outputs == unet.outputs
    said = {p.key: p.value for p in onnx.load(made.path).metadata_props}
    assert said["unetrt.precision"] == spec.precision
    assert json.loads(said["unetrt.normalization"]) == {"mean": 1}
    assert set(kernel_types(made.path).values()) == types
    if spec.precision == "bf16":
        made = simulate_bfloat16(made, tmp_path / "simulated.onnx")
    expected, found = outputs_of(unet.path), outputs_of(made.path)
    difference = np.abs(found - expected).max()
    assert difference < {"fp32": 1e-6, "fp16": 5e-3, "bf16": 0.05, "int8": 0.15}[spec.precision]
    assert (difference > 0) == (spec.precision != "fp32")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_builds_with_tensorrt_rtx(unet, tmp_path, precision):
    pytest.importorskip("tensorrt_rtx")
    from unetrt.convert.to_engine import EngineSpec, build_engine

    made = to_precision(
        unet, tmp_path / "made.onnx", PrecisionSpec(precision=precision), data=images()
    )
    engine = build_engine(made, tmp_path / "made.engine", EngineSpec(backend="tensorrt-rtx"))
    shares = engine.receipt.convolution_share
    assert shares[precision] > 0.5
    assert set(engine.receipt.kept) == set(made.kept)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_layers_are_kept_by_name_and_by_pattern(unet, tmp_path, precision):
    spec = PrecisionSpec(precision=precision, keep=("deep", "log*"))
    made = to_precision(unet, tmp_path / "made.onnx", spec, data=images())
    assert {"deep", "logits"} <= set(made.kept)
    assert "side" not in made.kept
    types = kernel_types(made.path)
    assert types["deep"] == types["logits"] == "FLOAT"


def test_a_pattern_that_matches_no_layer_is_refused_with_the_names_close_to_it(unet, tmp_path):
    path = tmp_path / "made.onnx"
    with pytest.raises(BadInput, match=r"got 'deeep'; close to it are deep"):
        to_precision(unet, path, PrecisionSpec(keep=("deeep",)))
    with pytest.raises(BadInput, match=r"got 'zzz\*'; the layers are add, concat, .* and so on"):
        to_precision(unet, path, PrecisionSpec(keep=("deep", "zzz*")))
    assert not path.exists()


def test_what_cannot_be_asked_for_is_refused():
    with pytest.raises(BadInput, match="got fp8, expected fp32, fp16, bf16 or int8"):
        PrecisionSpec(precision="fp8")
    with pytest.raises(BadInput, match="Cannot leave the rest in this: got bf16, expected fp32 or"):
        PrecisionSpec(precision="int8", rest="bf16")
    with pytest.raises(BadInput, match="Only int8 leaves a rest, fp16 does not"):
        PrecisionSpec(rest="fp16")
    with pytest.raises(BadInput, match="fp32 keeps every layer in float32: got keep a, b"):
        PrecisionSpec(precision="fp32", keep=("a", "b"))
    with pytest.raises(BadInput, match="at least 1"):
        PrecisionSpec(precision="int8", images=0)


def test_int8_without_images_is_refused(unet, tmp_path):
    with pytest.raises(BadInput, match="Cannot quantise .*unet.onnx without images.*with `data`"):
        to_precision(unet, tmp_path / "made.onnx", PrecisionSpec(precision="int8"))


def test_what_is_not_float32_is_refused(unet, tmp_path):
    half = to_precision(unet, tmp_path / "half.onnx")
    with pytest.raises(BadInput, match="Cannot retype .*half.onnx: got fp16, expected fp32"):
        to_precision(half, tmp_path / "again.onnx")
    with pytest.raises(BadInput, match="Cannot simulate bfloat16 with .*half.onnx: got fp16"):
        simulate_bfloat16(half, tmp_path / "again.onnx")


def test_a_network_in_which_nothing_computes_in_the_type_is_refused(unet, tmp_path):
    path = tmp_path / "made.onnx"
    with pytest.raises(UnsupportedModel, match="Nothing .* would compute in bf16: got 5 conv"):
        to_precision(unet, path, PrecisionSpec(precision="bf16", keep=("*",)))
    assert not path.exists()


def overflowing(path):
    """Return 300 x 300, beyond float16, brought back into range by the next layer."""
    nodes = [
        make("Conv", ["x", "big"], ["c"], name="first"),
        make("Relu", ["c"], ["r"], name="relu"),
        make("Conv", ["r", "small"], ["d"], name="second"),
        make("Conv", ["d", "one"], ["y"], name="third"),
    ]
    weights = {
        name: np.full((1, 1, 1, 1), value, np.float32)
        for name, value in (("big", 300), ("small", 0.01), ("one", 1))
    }
    shape = ["n", 1, "h", "w"]
    return written(model_of(nodes, {"x": shape}, {"y": shape}, weights), path, layout="NCHW")


def test_float16_overflow_is_found_on_the_images_and_named_by_layer(tmp_path):
    model = overflowing(tmp_path / "model.onnx")
    x = np.full((1, 1, 4, 4), 300, np.float32)
    naive = to_precision(model, tmp_path / "naive.onnx")
    assert np.isinf(dict(Activations(naive.path, ["y"]).run({"x": x}))["y"]).all()

    words = (
        r"model.onnx does not fit float16 on these images: got c reaches 9e\+04, r reaches 9e\+04, "
        r"expected at most 32752, .*: `keep=\('first', 'relu', 'second'\)`\.$"
    )
    with pytest.raises(UnsupportedModel, match=words):
        to_precision(model, tmp_path / "made.onnx", data=[x[0, 0, :, :, np.newaxis]])
    assert not (tmp_path / "made.onnx").exists()

    spec = PrecisionSpec(keep=("first", "relu", "second"))
    made = to_precision(model, tmp_path / "made.onnx", spec, data=[x[0, 0, :, :, np.newaxis]])
    y = dict(Activations(made.path, ["y"]).run({"x": x}))["y"]
    np.testing.assert_allclose(y, 900, rtol=1e-3)
    assert made.made_with["images"] == 1


def test_images_that_stay_in_range_pass_and_so_does_bfloat16(tmp_path):
    model = overflowing(tmp_path / "model.onnx")
    small = [np.full((4, 4, 1), 10, np.float32)]
    large = [np.full((4, 4, 1), 300, np.float32)]
    to_precision(model, tmp_path / "fp16.onnx", data=small)
    to_precision(model, tmp_path / "bf16.onnx", PrecisionSpec(precision="bf16"), data=large)


def test_an_int8_network_whose_rest_is_float16_is_searched_for_overflow_too(tmp_path):
    model = overflowing(tmp_path / "model.onnx")
    spec = PrecisionSpec(precision="int8", rest="fp16")
    with pytest.raises(UnsupportedModel, match="does not fit float16 on these images"):
        to_precision(model, tmp_path / "made.onnx", spec, data=[np.full((4, 4, 1), 300, "f4")])


@pytest.mark.parametrize("oddity", ODDITIES)
def test_odd_operators_go_through_every_precision_with_images(tmp_path, oddity):
    model = written(ODDITIES[oddity](), tmp_path / "model.onnx", layout="NCHW")
    for spec in (
        PrecisionSpec(),
        PrecisionSpec(precision="bf16"),
        PrecisionSpec(precision="int8"),
        PrecisionSpec(precision="int8", rest="fp16"),
    ):
        made = to_precision(model, tmp_path / "made.onnx", spec, data=[{"x": PICTURE}])
        checker.check_model(str(made.path), full_check=True)
        assert not {"in", "end"} <= set(made.kept)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_bytes_in_and_labels_out_survive_with_several_inputs(tmp_path, precision):
    nodes = [
        make("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT, name="to_float"),
        make("Mul", ["f", "scale"], ["n"], name="normalize"),
        make("Transpose", ["n"], ["x"], perm=[0, 3, 1, 2], name="to_nchw"),
        make("Conv", ["x", "w1"], ["a"], name="one", pads=[1, 1, 1, 1]),
        make("Transpose", ["depth"], ["z"], perm=[0, 3, 1, 2], name="depth_to_nchw"),
        make("Concat", ["a", "z"], ["k"], axis=1, name="concat"),
        make("Conv", ["k", "w2"], ["l"], name="two"),
        make("Softmax", ["l"], ["p"], axis=1, name="softmax"),
        make("Transpose", ["p"], ["probabilities"], perm=[0, 2, 3, 1], name="to_nhwc"),
        make("ArgMax", ["l"], ["i"], axis=1, keepdims=0, name="argmax"),
        make("Cast", ["i"], ["labels"], to=TensorProto.UINT8, name="to_uint8"),
    ]
    free, random = ["batch", "height", "width"], np.random.default_rng(0)
    weights = {
        "scale": np.float32(1 / 65535),
        "w1": random.normal(size=(4, 3, 3, 3)).astype("f4"),
        "w2": random.normal(size=(3, 5, 1, 1)).astype("f4"),
    }
    inputs = {"pixels": ("uint16", [*free, 3]), "depth": [*free, 1]}
    outputs = {"probabilities": [*free, 3], "labels": ("uint8", free)}
    model = written(model_of(nodes, inputs, outputs, weights), tmp_path / "model.onnx")
    feed = {
        "pixels": random.integers(0, 65536, (1, 8, 8, 3), dtype=np.uint16),
        "depth": random.normal(size=(1, 8, 8, 1)).astype("f4"),
    }
    made = to_precision(
        model, tmp_path / "made.onnx", PrecisionSpec(precision=precision), data=[feed]
    )
    checker.check_model(str(made.path), full_check=True)
    assert (made.inputs, made.outputs) == (model.inputs, model.outputs)
    if precision == "bf16":
        made = simulate_bfloat16(made, tmp_path / "simulated.onnx")
    expected = ort.InferenceSession(model.path).run(None, feed)
    probabilities, labels = ort.InferenceSession(made.path).run(None, feed)
    np.testing.assert_allclose(probabilities, expected[0], atol=0.05)
    assert labels.dtype == np.uint8
    assert np.mean(labels == expected[1]) > 0.9


def test_retyping_an_onnx_file_loads_no_tensorflow_and_no_exporter(unet, tmp_path):
    command = [
        "convert",
        str(unet.path),
        "--out",
        str(tmp_path / "half.onnx"),
        "--precision",
        "fp16",
    ]
    code = f"""
import sys
from unetrt.__main__ import app
app({command!r}, standalone_mode=False)
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert OnnxModel.load(tmp_path / "half.onnx").precision == "fp16"
    loaded = set(done.stdout.split())
    assert "unetrt.convert.precision" in loaded
    assert not loaded & {"tensorflow", "keras", "tf2onnx", "onnxscript.optimizer", "onnxruntime"}


def test_a_convolution_with_a_computed_kernel_is_not_quantised(tmp_path):
    nodes = [
        make("Conv", ["x", "w"], ["a"], name="first"),
        make("Conv", ["a", "x"], ["b"], name="computed"),
        make("Conv", ["b", "w"], ["y"], name="last"),
    ]
    shape = [1, 1, 1, 1]
    graph = model_of(nodes, {"x": shape}, {"y": shape}, {"w": rand(1, 1, 1, 1)})
    model = written(graph, tmp_path / "model.onnx", layout="NCHW")
    spec, data = PrecisionSpec(precision="int8"), [np.ones((1, 1, 1), np.float32)]
    made = to_precision(model, tmp_path / "made.onnx", spec, data=data)
    assert made.kept == ("first", "computed")
