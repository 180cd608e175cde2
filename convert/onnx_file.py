"""Read and write ONNX files with their sidecars, weights beside them included."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx_ir as ir

from unetrt.artifacts import OnnxModel, sidecar_of
from unetrt.errors import ArtifactError, OutputError
from unetrt.files import sha256_of
from unetrt.onnx_weights import append_initializer
from unetrt.tensors import LAYOUTS, TensorSpec

from .onnx_proto import check_location
from .receptive_field import bytes_per_pixel, receptive_field

__all__ = [
    "read_graph",
    "save",
    "write_onnx",
]

_LARGE = 1024
"""Bytes from which a tensor is written on its own."""

_PROTOBUF_LIMIT = 2**31 - 2**20
"""Bytes of weights that a protobuf message can hold, less a MiB for the graph."""

_METADATA = ("classes", "sizes", "precision", "kept", "source", "made_with")
"""Fields of the sidecar that are in the file's metadata too."""


def write_onnx(
    graph: ir.Model,
    path: Path,
    *,
    about: Mapping[str, Any] | None = None,
    layout: str = LAYOUTS[0],
    **fields: Any,
) -> OnnxModel:
    """Write `graph` with its sidecar, whose main fields are in the file's metadata too.

    Weights of 2 GiB and more go into a file beside it, of a new name each time, so that the old
    pair is whole until the new one is.

    Args:
        graph: the network, its shapes inferred.
        path: the file to write.
        about: more metadata, for the file alone.
        layout: "NHWC" or "NCHW", of the graph's images.
        fields: those of OnnxModel that the graph does not tell: all but its inputs, outputs,
            receptive field and memory.

    Raises:
        OutputError: a file cannot be written.
    """
    metadata = {name: fields[name] for name in _METADATA if name in fields} | dict(about or {})
    metadata["layout"] = layout
    if fields.get("normalization") is not None:
        metadata["file_normalization"] = fields["normalization"].to_json()
    if "sizes" in metadata:
        metadata["sizes"] = asdict(metadata["sizes"])
    for name, value in metadata.items():
        graph.metadata_props[f"unetrt.{name}"] = (
            value if isinstance(value, str) else json.dumps(value)
        )
    old_data = _data_beside(path)
    fields["inputs"] = tuple(_tensor_spec(value, layout) for value in graph.graph.inputs)
    fields["outputs"] = tuple(_tensor_spec(value, layout) for value in graph.graph.outputs)
    fields["receptive_field"] = receptive_field(graph, layout)
    fields["bytes_per_pixel"] = bytes_per_pixel(graph, layout)
    weights = graph.graph.initializers.values()
    if sum(value.const_value.nbytes for value in weights) <= _PROTOBUF_LIMIT:
        written = OnnxModel.write(path, lambda temporary: save(graph, temporary), **fields)
    else:
        with _weights_beside(graph, path) as (file, data):
            fields["external_data"] = data
            written = OnnxModel.write(path, file.replace, **fields)
    for stale in old_data - set(written.external_data):
        with suppress(OSError):
            path.with_name(stale).unlink()
    return written


def save(model: ir.Model, path: Path) -> None:
    """Write `model` to `path`; the file is ordinary ONNX.

    `onnx_ir.save` holds all weights twice more, as protobuf and as its bytes: half of the time of
    an export. Here the graph comes first and each large weight after it, see
    unetrt/onnx_weights.py.
    """
    initializers = model.graph.initializers
    large = {
        name: value
        for name, value in initializers.items()
        if value.const_value.nbytes > _LARGE and value.const_value.dtype.bitwidth % 8 == 0
    }
    for name in large:
        del initializers[name]
    try:
        head = ir.to_proto(model).SerializeToString()
    finally:
        initializers.update(large)
    with path.open("wb") as file:
        file.write(head)
        for name, value in large.items():
            tensor = value.const_value
            append_initializer(file, name, int(tensor.dtype), tensor.numpy())


def read_graph(model: OnnxModel) -> ir.Model:
    """Load the graph of `model`, whose file was checked against its sidecar.

    Raises:
        ArtifactError: not ONNX, or its weights lie in a file that the sidecar does not know, such
            as one outside of its folder.
    """
    try:
        graph = ir.load(model.path)
    except Exception as error:  # protobuf's own errors share no base but Exception
        raise ArtifactError(f"Cannot read {model.path}", got=error, expected="ONNX") from error
    for tensor in _tensors(graph.graph):
        if isinstance(tensor, ir.ExternalTensor):
            check_location(model, str(tensor.name), str(tensor.location))
    return graph


def _tensors(graph: ir.Graph) -> Iterator[ir.TensorProtocol | None]:
    """Yield every tensor in the file: initialisers, and those in nodes, subgraphs included."""
    yield from (value.const_value for value in graph.initializers.values())
    for node in ir.traversal.RecursiveGraphIterator(graph):
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.TENSOR:
                yield attribute.value
            elif attribute.type == ir.AttributeType.GRAPH:
                yield from (v.const_value for v in attribute.value.initializers.values())


@contextmanager
def _weights_beside(graph: ir.Model, path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Write the weights beside `path`; yield the file of the graph alone, and their checksum."""
    data = path.with_name(f"{path.name}.{secrets.token_hex(4)}.data")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            file, part = Path(folder) / path.name, Path(folder) / data.name
            ir.save(graph, file, external_data=data.name)
            checksum = sha256_of(part)
            part.replace(data)
            yield file, {data.name: checksum}
    except BaseException as error:
        data.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"Cannot write {path}", got=error.strerror or error) from error
        raise


def _data_beside(path: Path) -> set[str]:
    """Return the names of the files with weights that the sidecar at `path` knows, if any."""
    try:
        known = json.loads(sidecar_of(path).read_text(encoding="utf-8"))["external_data"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    own = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.data")
    return {name for name in known if own.fullmatch(name)}


def _tensor_spec(value: ir.Value, layout: str) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else str(size.value) for size in value.shape)
    return TensorSpec(value.name, value.dtype.numpy().name, shape, layout)
