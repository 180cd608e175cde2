"""Read an ONNX file as engines are built from it: its bytes and its protobuf, without onnx-ir."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.errors import ArtifactError
from unetrt.precision import Precision

__all__ = [
    "OnnxContent",
    "architecture",
    "check_location",
    "convolution_types",
    "read_content",
]


class OnnxContent(NamedTuple):
    """Hold a file's bytes and the ModelProto that they are; weights in other files stay there."""

    content: bytes
    proto: Any


def read_content(model: OnnxModel) -> OnnxContent:
    """Read the file of `model`, which may hold 2 GiB, once.

    Raises:
        ArtifactError: not ONNX, not the network that the sidecar describes, or weights in a file
            that the sidecar does not know.
    """
    onnx = vendor.onnx()
    try:
        content = model.path.read_bytes()
        proto = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError; onnx promises none by name
        raise ArtifactError(
            f"Cannot read {model.path}", got=error, expected="an ONNX file"
        ) from error
    stored = {tensor.name for tensor in proto.graph.initializer}
    found = [value.name for value in proto.graph.input if value.name not in stored]
    if set(found) != {tensor.name for tensor in model.inputs}:
        raise ArtifactError(
            f"{model.path} is not the network that its sidecar describes",
            got=f"inputs {', '.join(found) or 'none'}",
            expected=", ".join(tensor.name for tensor in model.inputs),
            hint="convert the model again",
        )
    for tensor in _external(onnx, proto.graph):
        places = {entry.key: entry.value for entry in tensor.external_data}
        check_location(model, tensor.name, places.get("location", ""))
    return OnnxContent(content, proto)


def architecture(proto: Any) -> str:
    """Return a checksum of everything but the weights: networks that share it can be refitted.

    Nodes, their names and attributes, every tensor's name, type and shape count; so do the values
    of 64-bit integers, which are shapes and axes.
    """
    onnx = vendor.onnx()
    digest = hashlib.sha256()
    for opset in proto.opset_import:
        digest.update(opset.SerializeToString(deterministic=True))
    for tensor in proto.graph.initializer:
        digest.update(repr((tensor.name, tensor.data_type, list(tensor.dims))).encode())
        if tensor.data_type == onnx.TensorProto.INT64:
            digest.update(onnx.numpy_helper.to_array(tensor).tobytes())
    for value in (*proto.graph.input, *proto.graph.output):
        digest.update(value.SerializeToString(deterministic=True))
    for node in proto.graph.node:
        words = (node.domain, node.op_type, node.name, list(node.input), list(node.output))
        digest.update(repr(words).encode())
        for attribute in sorted(node.attribute, key=lambda a: a.name):
            digest.update(attribute.SerializeToString(deterministic=True))
    return digest.hexdigest()


def convolution_types(proto: Any) -> dict[str, str]:
    """Return the type that each convolution computes in by its layer's name, transposed ones too.

    ONNX wants a convolution's weights of its images' type, so the weights tell. It is quantised
    where images and weights both come from a DequantizeLinear.
    """
    onnx = vendor.onnx()
    stored = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    made_by = {name: node for node in proto.graph.node for name in node.output}

    def type_of(name: str) -> int | None:
        while name not in stored:
            node = made_by.get(name)
            if node is None or not node.input:
                return None
            attributes = {a.name: a for a in node.attribute}
            if node.op_type == "Cast":
                return int(attributes["to"].i)
            name = node.input[1 if node.op_type == "DequantizeLinear" else 0]
        return int(stored[name])

    found = {}
    for node in proto.graph.node:
        if node.op_type not in {"Conv", "ConvTranspose"}:
            continue
        sources = [made_by.get(name) for name in node.input[:2]]
        quantized = all(s is not None and s.op_type == "DequantizeLinear" for s in sources)
        data_type = type_of(sources[1].input[0] if quantized and sources[1] else node.input[1])
        if data_type is not None:
            name = onnx.TensorProto.DataType.Name(data_type)
            found[_parser_name(node)] = Precision.lookup("onnx", name) or name.lower()
    return found


def check_location(model: OnnxModel, name: str, location: str) -> None:
    """Refuse weights in files that the sidecar does not know: the file may be a stranger's."""
    if location not in model.external_data:
        raise ArtifactError(
            f"{model.path} keeps the weights {name!r} in a file that is not its own",
            got=location or "no location",
            expected=", ".join(model.external_data) or "weights in the file itself",
            hint="do not use it: it was altered",
        )


def _parser_name(node: Any) -> str:
    """Return the name that TensorRT's parser gives to a node's layer."""
    return str(node.name or f"node_of_{node.output[0]}")


def _external(onnx: Any, graph: Any) -> Iterator[Any]:
    """Yield every tensor that lies in another file: initialisers, and those inside of nodes."""
    inside = [a for node in graph.node for a in node.attribute]
    tensors = [*graph.initializer, *(tensor for a in inside for tensor in (a.t, *a.tensors))]
    yield from (t for t in tensors if t.data_location == onnx.TensorProto.EXTERNAL)
    for attribute in inside:
        for subgraph in (attribute.g, *attribute.graphs):
            if subgraph.node or subgraph.initializer:
                yield from _external(onnx, subgraph)
