"""Write ONNX files, weights beside them too; read them, also those that were tampered with."""

import dataclasses
import json

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.convert.graphs import chain, make, model_of, rand, run
from unetrt.artifacts import OnnxModel, sidecar_of
from unetrt.convert import onnx_file
from unetrt.convert.onnx_file import save
from unetrt.convert.onnx_proto import architecture, convolution_types, read_content
from unetrt.errors import ArtifactError, OutputError
from unetrt.runtime import open_session
from unetrt.tensors import TensorSpec

X = rand(1, 4, 4, 2)


def graph():
    nodes = [
        make("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        make("Conv", ["t", "w"], ["y"], name="conv"),
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
    assert props == {"unetrt.precision": "fp32", "unetrt.layout": "NHWC", "unetrt.note": "n"}


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
    weights = onnx.numpy_helper.from_array(rand(4), "c")
    onnx.external_data_helper.set_external_data(weights, "../secret.bin")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.ClearField("raw_data")
    nodes = [make("Constant", [], ["c"], value=weights)]
    nodes.append(make("Add", ["x", "c"], ["y"]))
    values = [helper.make_tensor_value_info(n, 1, ["batch", 4]) for n in "xy"]
    proto = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]))
    (tmp_path / "evil.onnx").write_bytes(proto.SerializeToString())
    tensors = [TensorSpec(n, "float32", ("batch", 4)) for n in "xy"]
    evil = OnnxModel(tmp_path / "evil.onnx", "", inputs=(tensors[0],), outputs=(tensors[1],))
    for read in (onnx_file.read_graph, read_content):
        with pytest.raises(ArtifactError, match=r"got \.\./secret\.bin.*it was altered"):
            read(evil)


def convolution():
    nodes = [make("Conv", ["x", "w", "b"], ["y"], name="conv")]
    shapes = {"x": ["n", 8, 4, 4]}, {"y": ["n", 64, 4, 4]}
    return model_of(nodes, *shapes, {"w": rand(64, 8, 1, 1), "b": rand(64)})


def test_the_file_is_the_one_that_protobuf_writes(tmp_path):
    model = convolution()
    model.metadata_props["k"] = "v"
    save(model, tmp_path / "m.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"), full_check=True)
    read, expected = onnx.load(tmp_path / "m.onnx"), ir.to_proto(model)
    weights = {w.name: onnx.numpy_helper.to_array(w).tolist() for w in read.graph.initializer}
    assert weights == {
        w.name: onnx.numpy_helper.to_array(w).tolist() for w in expected.graph.initializer
    }
    for part in (read.graph, expected.graph):
        del part.initializer[:], part.value_info[:]  # of initialisers, nobody needs any
    assert read == expected
    x = {"x": rand(2, 8, 4, 4)}
    assert (run(ir.load(tmp_path / "m.onnx"), x) == run(model, x)).all()


def test_the_model_is_as_it_was(tmp_path):
    model = convolution()
    save(model, tmp_path / "m.onnx")
    assert set(model.graph.initializers) == {"w", "b"}
    assert model.graph.initializers["w"].uses()


@pytest.mark.parametrize("dtype", ["FLOAT16", "BFLOAT16", "INT8", "INT64", "DOUBLE"])
def test_every_type_comes_back(tmp_path, dtype):
    own = ir.DataType[dtype]
    array = (rand(40, 40) * 100).astype(own.numpy())
    nodes = [make("Cast", ["w"], ["y"], to=TensorProto.FLOAT)]
    model = model_of(nodes, {}, {"y": [40, 40]}, {"w": rand(40, 40)})
    weight = model.graph.initializers["w"]
    weight.const_value, weight.dtype = ir.tensor(array, dtype=own, name="w"), own
    save(model, tmp_path / "m.onnx")
    again = ir.load(tmp_path / "m.onnx").graph.initializers["w"].const_value
    assert again.dtype == own
    assert again.numpy().tobytes() == array.tobytes()


@pytest.fixture
def proto(tmp_path):
    return read_content(chain(tmp_path / "m.onnx", "fp16", "int8", "bf16 up", "fp32")).proto


def test_each_convolution_promises_the_type_of_its_weights(proto):
    promised = {"conv0": "fp16", "conv1": "int8", "conv2": "bf16", "conv3": "fp32"}
    assert convolution_types(proto) == promised


def test_quantised_weights_alone_make_no_int8_convolution(proto):
    (conv,) = (node for node in proto.graph.node if node.name == "conv1")
    conv.input[0] = "x"
    assert convolution_types(proto)["conv1"] == "fp32"


def changed(proto, change):
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    change(copy.graph)
    return architecture(copy)


def double(graph):
    array = numpy_helper.to_array(graph.initializer[0])
    graph.initializer[0].CopyFrom(numpy_helper.from_array(array * 2, graph.initializer[0].name))


def reshape(graph):
    graph.initializer[0].dims[:] = reversed(graph.initializer[0].dims)
    graph.initializer[0].dims[:] = [9, *graph.initializer[0].dims[1:]]


def rename(graph):
    graph.node[1].name = "other"


def rewire(graph):
    graph.node[-1].input[0] = "x"


def restride(graph):
    (up,) = (node for node in graph.node if node.op_type == "ConvTranspose")
    up.attribute[0].ints[:] = [1, 1]


def test_other_weights_are_the_same_architecture(proto):
    assert changed(proto, double) == architecture(proto)
    proto.metadata_props.add(key="run", value="another")
    assert changed(proto, double) == architecture(proto)


@pytest.mark.parametrize("change", [reshape, rename, rewire, restride])
def test_another_shape_name_edge_or_attribute_is_another_architecture(proto, change):
    assert changed(proto, change) != architecture(proto)


def test_a_file_that_is_not_what_its_sidecar_says_is_refused(tmp_path):
    model = chain(tmp_path / "m.onnx", "fp32")
    other = dataclasses.replace(model, inputs=(TensorSpec("picture", "float32", (1, 3, 8, 8)),))
    with pytest.raises(
        ArtifactError, match="sidecar describes: got inputs image, expected picture"
    ):
        read_content(other)
    model.path.write_bytes(b"\x00not a protobuf")
    with pytest.raises(ArtifactError, match=r"Cannot read .*m.onnx: got .*expected an ONNX file"):
        read_content(model)
