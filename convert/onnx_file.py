"""ONNX files as unetrt writes and reads them: what they say of themselves, and external data."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx_ir as ir

from unetrt.artifacts import OnnxModel, sidecar_of
from unetrt.errors import ArtifactError, OutputError
from unetrt.files import sha256_of
from unetrt.tensors import TensorSpec

from .protobuf_stream import save
from .receptive_field import receptive_field
from .working_memory import bytes_per_pixel

__all__ = ["read_graph", "write_onnx"]

_PROTOBUF_LIMIT = 2**31 - 2**20
"""Bytes of weights that a protobuf message can hold, less a MiB for the graph."""

_IN_THE_FILE = ("classes", "sizes", "precision", "layout", "source", "made_with")


def write_onnx(graph: ir.Model, path: Path, *, about: dict[str, Any], **fields: Any) -> OnnxModel:
    """Write `graph` with its sidecar; what the sidecar says is in the file's metadata too.

    `about` is what the file alone says, `fields` are those of OnnxModel but for what is the graph's
    own: inputs, outputs, how far it looks and the memory it needs. Weights of 2 GiB and more go
    into a file beside it, of a new name each time, so that the old pair is whole until the new
    one is.

    Raises:
        OutputError: a file cannot be written.
    """
    said = {name: fields[name] for name in _IN_THE_FILE if name in fields} | about
    if "sizes" in said:
        said["sizes"] = asdict(said["sizes"])
    for name, value in said.items():
        graph.metadata_props[f"unetrt.{name}"] = _text(value)
    before = _data_beside(path)
    fields["inputs"] = tuple(map(_tensor_spec, graph.graph.inputs))
    fields["outputs"] = tuple(map(_tensor_spec, graph.graph.outputs))
    layout = fields.get("layout", "NHWC")
    fields["receptive_field"] = receptive_field(graph, layout)
    fields["bytes_per_pixel"] = bytes_per_pixel(graph, layout)
    if _weight_bytes(graph) <= _PROTOBUF_LIMIT:
        written = OnnxModel.write(path, lambda temporary: save(graph, temporary), **fields)
    else:
        with _beside(graph, path) as (file, data):
            fields["external_data"] = data
            written = OnnxModel.write(path, file.replace, **fields)
    for stale in before - set(written.external_data):
        with suppress(OSError):
            path.with_name(stale).unlink()
    return written


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
        if isinstance(tensor, ir.ExternalTensor) and tensor.location not in model.external_data:
            raise ArtifactError(
                f"{model.path} keeps the weights {tensor.name!r} in a file that is not its own",
                got=str(tensor.location),
                expected=", ".join(model.external_data) or "weights in the file itself",
                hint="do not use it: it was altered",
            )
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
def _beside(graph: ir.Model, path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Write the weights beside `path`; give the graph's temporary file, and the data's checksum."""
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


def _weight_bytes(graph: ir.Model) -> int:
    return sum(value.const_value.nbytes for value in graph.graph.initializers.values())


def _tensor_spec(value: ir.Value) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else str(size.value) for size in value.shape)
    return TensorSpec(value.name, value.dtype.numpy().name, shape)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
