"""ONNX files with weights beside them, and files that were tampered with."""

import json

import onnx
import pytest
from onnx import helper

from tests.convert.graphs import model_of, rand
from unetrt.artifacts import OnnxModel, sidecar_of
from unetrt.convert import onnx_file
from unetrt.errors import ArtifactError, OutputError
from unetrt.runtime import open_session
from unetrt.tensors import TensorSpec

X = rand(1, 4, 4, 2)


def graph():
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["y"], name="conv"),
    ]
    shapes = {"x": ["batch", 4, 4, 2]}, {"y": ["batch", 64, 4, 4]}
    return model_of(nodes, *shapes, {"w": rand(64, 2, 1, 1)})


def write(path):
    return onnx_file.write_onnx(graph(), path, about={"note": "n"}, precision="fp32")


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """A file whose weights lie beside it, as those over 2 GiB do."""
    monkeypatch.setattr(onnx_file, "_PROTOBUF_LIMIT", 100)
    return write(tmp_path / "m.onnx")


def test_a_small_network_is_one_file_with_its_metadata(tmp_path):
    model = write(tmp_path / "m.onnx")
    assert model.external_data == {}
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "m.onnx.json"}
    props = {p.key: p.value for p in onnx.load(model.path).metadata_props}
    assert props == {"unetrt.precision": "fp32", "unetrt.note": "n"}


def test_large_weights_lie_beside_the_file_and_it_runs(apart, tmp_path):
    (data,) = apart.external_data
    assert {p.name for p in tmp_path.iterdir()} == {"m.onnx", "m.onnx.json", data}
    assert OnnxModel.load(apart.path) == apart
    with open_session(apart.path) as session:
        assert session.run(X).shape == (1, 64, 4, 4)
    weights = onnx_file.read_graph(apart).graph.initializers["w"].const_value.numpy()
    assert weights.shape == (64, 2, 1, 1)


def test_writing_again_replaces_the_weights_too(apart, tmp_path):
    again = write(apart.path)
    assert again.external_data != apart.external_data
    assert len(list(tmp_path.glob("*.data"))) == 1
    OnnxModel.load(again.path)


def test_a_failure_leaves_the_old_pair_and_no_other_file(apart, tmp_path, monkeypatch):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OnnxModel, "write", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        write(apart.path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data.write_bytes(data.read_bytes()[:-4]), "does not hold the weights of"),
        (lambda data: data.unlink(), "There is no file"),
    ],
)
def test_weights_cut_short_or_missing_are_refused(apart, damage, words):
    damage(apart.path.with_name(next(iter(apart.external_data))))
    with pytest.raises(ArtifactError, match=words):
        OnnxModel.load(apart.path)


def test_a_sidecar_that_names_weights_elsewhere_is_refused(apart):
    fields = json.loads(sidecar_of(apart.path).read_text())
    fields["external_data"] = {"../secret": "0" * 64}
    sidecar_of(apart.path).write_text(json.dumps(fields))
    with pytest.raises(ArtifactError, match=r"outside of its folder: got \.\./secret"):
        OnnxModel.load(apart.path)


def test_a_graph_that_names_weights_elsewhere_is_refused(apart, tmp_path):
    proto = onnx.load(apart.path, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../secret"
    onnx.save(proto, tmp_path / "evil.onnx")
    evil = OnnxModel(tmp_path / "evil.onnx", "", external_data=apart.external_data)
    with pytest.raises(ArtifactError, match=r"got \.\./secret.*it was altered"):
        onnx_file.read_graph(evil)


def test_what_is_not_onnx_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\xff" * 50)
    with pytest.raises(ArtifactError, match="expected ONNX"):
        onnx_file.read_graph(OnnxModel(tmp_path / "m.onnx", ""))


def test_other_models_weights_are_left_alone(tmp_path):
    for name in ("m1.onnx.precious.data", "m.onnx.mine.data", "m.onnx.0123abcd.data"):
        (tmp_path / name).write_bytes(b"x")
    write(tmp_path / "m[1].onnx")
    write(tmp_path / "m.onnx")
    assert len(list(tmp_path.glob("*.data"))) == 3


def test_a_constant_that_lies_elsewhere_is_refused(tmp_path):
    from unetrt.convert.onnx_file import read_content

    weights = onnx.numpy_helper.from_array(rand(4), "c")
    onnx.external_data_helper.set_external_data(weights, "../secret.bin")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.ClearField("raw_data")
    nodes = [helper.make_node("Constant", [], ["c"], value=weights)]
    nodes.append(helper.make_node("Add", ["x", "c"], ["y"]))
    values = [helper.make_tensor_value_info(n, 1, ["batch", 4]) for n in "xy"]
    proto = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]))
    (tmp_path / "evil.onnx").write_bytes(proto.SerializeToString())
    tensors = [TensorSpec(n, "float32", ("batch", 4)) for n in "xy"]
    evil = OnnxModel(tmp_path / "evil.onnx", "", inputs=(tensors[0],), outputs=(tensors[1],))
    for read in (onnx_file.read_graph, read_content):
        with pytest.raises(ArtifactError, match=r"got \.\./secret\.bin.*it was altered"):
            read(evil)
