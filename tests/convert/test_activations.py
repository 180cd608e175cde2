"""Run a graph slice by slice: every value, as a whole run gives it."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from tests.convert.graphs import make, rand, save
from unetrt.convert import activations
from unetrt.convert.activations import Activations
from unetrt.errors import ArtifactError, BadInput, UnsupportedModel


@pytest.fixture
def two_inputs(tmp_path):
    """uint8 NHWC pixels and a float NCHW map in; probabilities and a label map out."""
    nodes = [
        make("Cast", ["pixels"], ["f"], to=TensorProto.FLOAT),
        make("Transpose", ["f"], ["nchw"], perm=[0, 3, 1, 2]),
        make("Conv", ["nchw", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        make("Concat", ["c", "other"], ["both"], axis=1),
        *(make("Relu", ["both" if k == 0 else f"r{k - 1}"], [f"r{k}"]) for k in range(20)),
        make("Add", ["r19", "both"], ["skip"]),
        make("Softmax", ["skip"], ["probabilities"], axis=1),
        make("ArgMax", ["probabilities"], ["labels64"], axis=1, keepdims=0),
        make("Cast", ["labels64"], ["labels"], to=TensorProto.UINT8),
    ]
    return save(
        tmp_path / "two.onnx",
        nodes,
        {
            "pixels": ("uint8", ["batch", "height", "width", 3]),
            "other": ("float32", ["batch", 2, "height", "width"]),
        },
        {
            "probabilities": ("float32", ["batch", 6, "height", "width"]),
            "labels": ("uint8", ["batch", "height", "width"]),
        },
        {"w": rand(4, 3, 3, 3) / 100},
    ).path


def feeds_of_two():
    pixels = np.random.default_rng(3).integers(0, 256, (2, 8, 6, 3), dtype=np.uint8)
    return {"pixels": pixels, "other": rand(2, 2, 8, 6)}


RELUS = [f"r{k}" for k in range(20)]
ALL = ["f", "nchw", "c", "both", *RELUS, "skip", "probabilities", "labels64", "labels"]


def test_values_come_in_the_graph_s_order_as_a_whole_run_puts_them_out(two_inputs):
    feeds = feeds_of_two()
    found = list(Activations(two_inputs, set(ALL)).run(feeds))
    assert [name for name, _ in found] == ALL
    whole = ort.InferenceSession(two_inputs).run(None, feeds)
    values = dict(found)
    np.testing.assert_allclose(values["probabilities"], whole[0], atol=1e-6)
    assert values["labels"].dtype == np.uint8
    np.testing.assert_array_equal(values["labels"], whole[1])


def test_only_the_values_named_come_inputs_and_integers_too(two_inputs):
    names = {"pixels", "c", "labels64"}
    found = dict(Activations(two_inputs, names).run(feeds_of_two()))
    assert list(found) == ["pixels", "c", "labels64"]
    assert found["labels64"].dtype == np.int64


def test_a_slice_of_nodes_at_a_time_gives_what_one_slice_gives(two_inputs, monkeypatch):
    feeds = feeds_of_two()
    monkeypatch.setattr(activations, "_SLICE", 1000)
    whole = dict(Activations(two_inputs, ALL).run(feeds))
    for size in (1, 3, 8):
        monkeypatch.setattr(activations, "_SLICE", size)
        sliced = dict(Activations(two_inputs, ALL).run(feeds))
        assert sliced.keys() == whole.keys()
        for name, array in whole.items():
            np.testing.assert_array_equal(sliced[name], array)


def test_no_more_than_a_slice_and_the_skip_connections_are_held_at_once(tmp_path, monkeypatch):
    import weakref

    monkeypatch.setattr(activations, "_SLICE", 4)
    nodes = [make("Relu", ["x" if k == 0 else f"r{k - 1}"], [f"r{k}"]) for k in range(40)]
    nodes.append(make("Add", ["r39", "r0"], ["y"]))
    path = save(tmp_path / "long.onnx", nodes, {"x": [1, 64]}, {"y": [1, 64]}).path
    held, most = [], 0
    names = [node.output[0] for node in nodes]
    for _, array in Activations(path, names).run({"x": rand(1, 64)}):
        held.append(weakref.ref(array))
        del array
        most = max(most, sum(ref() is not None for ref in held))
    assert len(held) == 41
    assert most <= 4 + 1  # a slice, and r0


def test_what_a_subgraph_reads_from_outside_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(activations, "_SLICE", 1)
    value = helper.make_tensor_value_info
    branches = {
        name: helper.make_graph(
            [make(operator, ["a", "a"], [name])],
            name,
            [],
            [value(name, TensorProto.FLOAT, [4])],
        )
        for name, operator in (("twice", "Add"), ("nothing", "Sub"))
    }
    nodes = [
        make("Relu", ["x"], ["a"]),
        make("Relu", ["a"], ["b"]),
        make("If", ["yes"], ["c"], then_branch=branches["twice"], else_branch=branches["nothing"]),
        make("Add", ["b", "c"], ["y"]),
    ]
    path = save(tmp_path / "if.onnx", nodes, {"x": [4]}, {"y": [4]}, {"yes": np.array(True)}).path
    found = dict(Activations(path, ["y"]).run({"x": np.ones(4, np.float32)}))
    np.testing.assert_array_equal(found["y"], np.full(4, 3, np.float32))


def test_weights_in_a_file_of_their_own_are_found(two_inputs, tmp_path):
    feeds = feeds_of_two()
    expected = dict(Activations(two_inputs, ALL).run(feeds))
    apart = tmp_path / "apart.onnx"
    onnx.save(
        onnx.load(two_inputs), apart, save_as_external_data=True, location="w", size_threshold=0
    )
    assert dict(Activations(apart, ["c"]).run(feeds))["c"].tolist() == expected["c"].tolist()


def half_overflowing(path):
    """300 x 300 is beyond float16; the next layer brings it back into range."""
    nodes = [
        make("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        make("Conv", ["h", "big"], ["c"], name="first"),
        make("Conv", ["c", "small"], ["d"], name="second"),
        make("Cast", ["d"], ["y"], to=TensorProto.FLOAT),
    ]
    shape = [1, 1, 2, 2]
    weights = {"big": np.full((1, 1, 1, 1), 300, np.float16)}
    weights["small"] = np.full((1, 1, 1, 1), 0.01, np.float16)
    return save(path, nodes, {"x": shape}, {"y": shape}, weights).path


def test_a_float16_overflow_shows_though_a_whole_run_on_the_cpu_hides_it(tmp_path):
    path = half_overflowing(tmp_path / "half.onnx")
    x = np.full((1, 1, 2, 2), 300, np.float32)
    hidden = ort.InferenceSession(path).run(None, {"x": x})[0]
    assert np.isfinite(hidden).all()
    found = dict(Activations(path, "hcdy").run({"x": x}))
    assert np.isinf(found["c"]).all()
    assert np.isinf(found["y"]).all()
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


def test_what_cannot_be_run_is_refused_in_words(two_inputs, tmp_path):
    with pytest.raises(BadInput, match=r"two.onnx has no such values: got absent, nowhere"):
        Activations(two_inputs, ["c", "nowhere", "absent"])
    with pytest.raises(BadInput, match=r"two.onnx lacks inputs: expected other"):
        list(Activations(two_inputs, ["c"]).run({"pixels": feeds_of_two()["pixels"]}))
    with pytest.raises(BadInput, match="ONNX Runtime cannot run .*two.onnx"):
        list(Activations(two_inputs, ["c"]).run({"pixels": np.zeros(3), "other": np.zeros(3)}))
    (tmp_path / "not.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(ArtifactError, match="Cannot read .*not.onnx.*expected ONNX"):
        Activations(tmp_path / "not.onnx", ["y"])


def test_a_bfloat16_convolution_is_refused_since_no_cpu_kernel_has_it(tmp_path):
    nodes, shape = [make("Conv", ["x", "w"], ["y"], name="conv")], ("bfloat16", [1, 1, 2, 2])
    weights = {"w": rand(1, 1, 1, 1).astype("bfloat16")}
    half = save(tmp_path / "bf16.onnx", nodes, {"x": shape}, {"y": shape}, weights, opset=22)
    with pytest.raises(UnsupportedModel, match=r"ONNX Runtime's CPU cannot run .*bf16.onnx"):
        Activations(half.path, ["y"])
