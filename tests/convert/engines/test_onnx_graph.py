"""What an ONNX file promises of its types, and which networks are the same but for weights."""

import dataclasses

import onnx
import pytest
from onnx import numpy_helper

from tests.convert.engine_graphs import chain
from unetrt.convert.onnx_file import architecture, convolution_types, read_content
from unetrt.errors import ArtifactError
from unetrt.tensors import TensorSpec


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
