"""Run an ONNX file on real inputs and read every value inside it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from unetrt import vendor
from unetrt.errors import ArtifactError, BadInput, UnsupportedModel

__all__ = ["Activations"]

_SLICE = 8
"""Nodes run at a time: only their outputs and the skip connections are in memory."""


class Activations:
    """Run an ONNX file by ONNX Runtime on the CPU, one slice of its nodes after another.

    Graph optimisations are off, so that no layer is fused away. Every node that counts runs once: a
    slice reads the outputs of the slices before it, and values that no slice reads any more are
    freed.

    A float16 file: ONNX Runtime's CPU has no float16 convolution. It computes in float32 between
    two casts, and drops the casts between two such nodes, so that an overflow of float16 there
    does not show. Here such a file runs node by node: every value is truly rounded to float16,
    infinities included, and the next node reads it so.

    A bfloat16 file cannot run: ONNX Runtime has no bfloat16 convolution for the CPU at all.

    >>> from pathlib import Path
    >>> import numpy as np
    >>> activations = Activations(Path("model.onnx"), ["pool", "logits"])
    >>> images = np.zeros((1, 32, 32, 1), np.float32)
    >>> [(name, array.shape) for name, array in activations.run({"image": images})]
    [('pool', (1, 4, 16, 16)), ('logits', (1, 2, 32, 32))]
    """

    def __init__(self, path: Path, names: Collection[str]) -> None:
        """Read the file and open a session for each slice.

        Args:
            path: the ONNX file.
            names: of the values wanted, of whatever type, graph inputs included.

        Raises:
            ArtifactError: the file cannot be read.
            BadInput: it has no value of such a name.
            UnsupportedModel: ONNX Runtime cannot run it.
        """
        try:
            model = ir.load(path)
            ir.external_data.load_to_model(model)  # a slice has no folder to find them in
        except Exception as error:  # protobuf's own errors share no base but Exception
            raise ArtifactError(f"Cannot read {path}", got=error, expected="ONNX") from error
        ShapeInferencePass()(model)
        self._path = path
        self._inputs = [v.name for v in model.graph.inputs if not v.is_initializer()]
        known = {value.name for node in model.graph for value in node.outputs} - {""}
        unknown = set(names) - known - set(self._inputs)
        if unknown:
            raise BadInput(f"{path} has no such values", got=", ".join(sorted(unknown)))
        self._wanted = frozenset(names)
        self._slices = _slices(model, self._wanted)
        self._sessions = [self._session(model.ir_version, part) for part in self._slices]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield (name, array) of each value wanted in the graph's order, float16 as float32.

        Args:
            feeds: an array for each of the graph's inputs, by name, in its type, shape and layout.

        Raises:
            BadInput: an input is missing, or does not fit.
        """
        missing = set(self._inputs) - set(feeds)
        if missing:
            raise BadInput(f"{self._path} lacks inputs", expected=", ".join(sorted(missing)))
        yield from ((name, feeds[name]) for name in self._inputs if name in self._wanted)
        # Not arrays: NumPy has no bfloat16, which may pass from one slice to the next.
        wrap = vendor.onnxruntime().OrtValue.ortvalue_from_numpy
        alive = {name: wrap(np.ascontiguousarray(feeds[name])) for name in self._inputs}
        last = {n: k for k, part in enumerate(self._slices) for n in _names(part.inputs)}
        for k, (part, session) in enumerate(zip(self._slices, self._sessions, strict=True)):
            names = _names(part.outputs)
            taken = {name: alive[name] for name in _names(part.inputs)}
            try:
                outputs = session.run_with_ort_values(names, taken)
            except Exception as error:  # ONNX Runtime's own errors share no base but Exception
                raise BadInput(f"ONNX Runtime cannot run {self._path}", got=error) from error
            alive |= dict(zip(names, outputs, strict=True))
            alive = {name: value for name, value in alive.items() if last.get(name, -1) > k}
            while names:  # so that a value lives no longer than its reader needs it
                name, value = names.pop(0), outputs.pop(0)
                if name in self._wanted:
                    yield name, _widened(value.numpy())

    def _session(self, ir_version: int, part: ir.Graph) -> Any:
        ort = vendor.onnxruntime()
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = False  # a freed activation goes back to the system
        # Each slice has its threads; those that wait must not take the cores from one that works.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        content = ir.to_proto(ir.Model(part, ir_version=ir_version)).SerializeToString()
        try:
            return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UnsupportedModel(
                f"ONNX Runtime's CPU cannot run {self._path}", got=str(error).strip()
            ) from error


def _slices(model: ir.Model, wanted: Collection[str]) -> list[ir.Graph]:
    """Cut the graph into slices; each puts out the values wanted or read by a later one."""
    nodes = list(model.graph)
    half = any(value.dtype == ir.DataType.FLOAT16 for node in nodes for value in node.outputs)
    length = 1 if half else _SLICE
    read_after: set[ir.Value] = set()
    parts = []
    for start in reversed(range(0, len(nodes), length)):
        group = nodes[start : start + length]
        made = [value for node in group for value in node.outputs if value.name]
        read = dict.fromkeys(value for node in group for value in _read_by(node, model.graph))
        taken = [value for value in read if value not in made and not value.is_initializer()]
        outputs = [value for value in made if value.name in wanted or value in read_after]
        if outputs:
            parts.append(ir.convenience.extract(model.graph, taken, outputs))
            read_after.update(taken)
    return parts[::-1]


def _read_by(node: ir.Node, graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield the values of `graph` that a node reads, also inside its own subgraphs."""
    for reader in ir.traversal.RecursiveGraphIterator([node]):
        yield from (value for value in reader.inputs if value is not None and value.graph is graph)


def _names(values: Collection[ir.Value]) -> list[str]:
    return [value.name for value in values]


def _widened(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == np.float16 else array
