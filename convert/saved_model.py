"""Make a TensorFlow SavedModel ready to be traced: its variables become inputs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel as SavedModelProto
from tensorflow.python.framework import convert_to_constants

from unetrt.artifacts import KerasFile
from unetrt.errors import ArtifactError, UnsupportedModel
from unetrt.files import sha256_of
from unetrt.tensors import TensorSpec

from .trace import Source, check_free_axes

__all__ = ["read_saved_model"]

_FOREIGN = {"EagerPyFunc", "MatchingFiles", "PyFunc", "PyFuncStateless", "ReadFile", "WriteFile"}
"""Operations that read files or run Python; a SavedModel from elsewhere is untrusted."""

_SIGNATURE = "serving_default"


def read_saved_model(folder: Path) -> tuple[Source, KerasFile]:
    """Read the signature `serving_default` of a SavedModel as a network that can be traced.

    The second value tells where it came from, for `export_onnx(..., origin=...)`.

    Raises:
        ArtifactError: not a SavedModel, damaged, or without that signature.
        UnsupportedModel: an operation that reads files or runs Python, or a free axis that is
            neither batch, height nor width.

    >>> from unetrt.keras_models import load_model
    >>> load_model(Path("model.keras"))[0].export("saved", verbose=False)
    >>> source, origin = read_saved_model(Path("saved"))
    >>> [str(tensor) for tensor in source.inputs], source.output_names
    (['float32[batch, height, width, 1]'], ('output_0',))
    """
    if not (folder / "saved_model.pb").is_file():
        raise ArtifactError(
            f"Cannot convert {folder}",
            got="a folder without saved_model.pb",
            expected="a SavedModel, as keras.Model.export writes it",
        )
    _check_operations(folder)
    try:
        loaded = tf.saved_model.load(str(folder))
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise ArtifactError(
            f"Cannot read {folder}",
            got=(str(error).strip() or type(error).__name__).splitlines()[0],
            expected="a whole SavedModel",
        ) from error
    if _SIGNATURE not in loaded.signatures:
        raise ArtifactError(
            f"Cannot convert {folder}",
            got=f"the signatures {', '.join(loaded.signatures) or '(none)'}",
            expected=_SIGNATURE,
            hint="save it with keras.Model.export",
        )
    return _source(folder, loaded.signatures[_SIGNATURE]), KerasFile(folder, _sha256_of(folder))


def _sha256_of(folder: Path) -> str:
    """Return one checksum of the graph and the variables."""
    digest = hashlib.sha256()
    for path in [folder / "saved_model.pb", *sorted((folder / "variables").glob("variables.*"))]:
        digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()


def _check_operations(folder: Path) -> None:
    proto = SavedModelProto()
    try:
        proto.ParseFromString((folder / "saved_model.pb").read_bytes())
    except Exception as error:  # protobuf's own errors share no base but Exception
        raise ArtifactError(
            f"Cannot read {folder}", got=error, expected="a whole SavedModel"
        ) from error
    graphs = [meta.graph_def for meta in proto.meta_graphs]
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for g in graphs for f in g.library.function for node in f.node_def]
    foreign = [node for node in nodes if node.op in _FOREIGN]
    if foreign:
        raise UnsupportedModel(
            f"Cannot convert {folder}",
            got=f"an operation that acts outside of the model: {foreign[0].op} ({foreign[0].name})",
            expected="tensors in, tensors out",
        )


def _source(folder: Path, function: Any) -> Source:
    inputs = function.inputs[: len(function.inputs) - len(function.graph.captures)]
    names = sorted(function.structured_input_signature[1])
    specs = tuple(_spec(folder, name, tensor) for name, tensor in zip(names, inputs, strict=True))
    # TensorFlow has no public way to inline what a signature calls.
    graph = convert_to_constants._run_inline_graph_optimization(  # noqa: SLF001
        function, lower_control_flow=False, aggressive_inlining=True
    )
    for node in graph.node:
        # Control inputs order side effects, of which there are none, and keep old variables alive.
        values = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(values)
    reads = _reads(graph.node)
    resources = {inner.op.name: outer for outer, inner in function.graph.captures}
    unread = set(resources) - {variable for variable, _ in reads.values()}
    if unread:
        raise UnsupportedModel(
            f"Cannot convert {folder}",
            got=f"{len(unread)} captured resources that are not variables, such as a table",
            expected="weights alone",
        )
    index = {variable: f"unetrt_weight_{k}" for k, variable in enumerate(resources)}
    dtypes = dict(reads.values())
    weights = {
        index[variable]: tf.raw_ops.ReadVariableOp(
            resource=resources[variable], dtype=dtypes[variable]
        ).numpy()
        for variable in resources
    }

    def call(*tensors: tf.Tensor) -> list[tf.Tensor]:
        given = dict(zip((tensor.name for tensor in inputs), tensors, strict=False))
        bound = dict(zip(index, tensors[len(inputs) :], strict=True))
        given |= {f"{read}:0": bound[variable] for read, (variable, _) in reads.items()}
        wanted = [tensor.name for tensor in function.outputs]
        outputs: list[tf.Tensor] = tf.graph_util.import_graph_def(
            graph, input_map=given, return_elements=wanted, name=""
        )
        return outputs

    def predict(*tensors: tf.Tensor) -> list[tf.Tensor]:
        named = {spec.name: tensor for spec, tensor in zip(specs, tensors, strict=True)}
        outputs = function(**named)
        return [outputs[name] for name in sorted(outputs)]

    return Source(
        name=folder.name,
        inputs=specs,
        output_names=tuple(sorted(function.structured_outputs)),
        weights=weights,
        call=call,
        predict=predict,
        scope=nullcontext,
        owner=_owner,
    )


def _spec(folder: Path, name: str, tensor: tf.Tensor) -> TensorSpec:
    if tensor.shape.rank is None:
        raise UnsupportedModel(
            f"Cannot convert {folder}",
            got=f"an input {name!r} of unknown rank",
            expected="[batch, height, width, channels]",
        )
    spec = TensorSpec.from_partial(name, tensor.dtype.name, tensor.shape.as_list())
    check_free_axes(spec, folder.name)
    return spec


def _reads(nodes: Iterable[Any]) -> dict[str, tuple[str, int]]:
    """Map each node that reads a variable to the variable's placeholder and its type."""
    by_name = {node.name: node for node in nodes}
    found = {}
    for node in by_name.values():
        if node.op == "ReadVariableOp":
            variable = by_name[node.input[0].partition(":")[0]]
            while variable.op == "Identity":
                variable = by_name[variable.input[0].partition(":")[0]]
            found[node.name] = (variable.name, node.attr["dtype"].type)
    return found


def _owner(node: str) -> str | None:
    """Return `enc/conv` of `StatefulPartitionedCall/model_1/enc_1/conv_1/convolution__3`."""
    scopes = [re.sub(r"_\d+$", "", scope) for scope in node.split("/")]
    if scopes[0].endswith("PartitionedCall"):
        scopes = scopes[2:]
    return "/".join(scopes[:-1]) or None
