"""Where an engine's time goes, by kinds of work and by the Keras blocks of the network.

An engine's layers are many ONNX nodes each, whose names the inspector knows; nodes bear the names
of Keras' layers. Times of layers come from a run in which a profiler waits after each of them. Only
their shares are told: their sum is not the latency of a run without it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from unetrt import vendor
from unetrt.artifacts import OnnxModel
from unetrt.engine_layers import EngineLayer
from unetrt.errors import ArtifactError, CheckFailed

from .graph_cost import block_of

__all__ = ["EngineShares", "engine_shares", "operators"]

_PRODUCTS = {
    "Conv": "convolutions",
    "ConvTranspose": "transposed convolutions",
    "Gemm": "matrix products",
    "MatMul": "matrix products",
}

_COPIES = {
    "Cast", "Concat", "Expand", "Flatten", "Identity", "Pad", "Reshape", "Slice", "Split",
    "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip

_JOINTS = re.compile(r" \+ | \|\| |PWN\(|[(){}\[\],]|\.\.\.")
"""Between the nodes' names in the name of a layer that was fused from several."""

_COMPILED = re.compile(r"_myl\d+_\d+$")
"""What TensorRT's compiler adds to the name of the node that a kernel is for."""


@dataclass(frozen=True, slots=True)
class EngineShares:
    """Shares of the time in all layers, which add up to 1.

    Attributes:
        kinds: "convolutions", "transposed convolutions", "matrix products", "copies",
            "reformats", "others", and several joined by " and " where one layer does both.
        blocks: of Keras; "down1, down2" of a layer that is of both, "" of one of none.
        runs: of which the medians were taken.
    """

    kinds: dict[str, float]
    blocks: dict[str, float]
    runs: int

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)


def operators(model: OnnxModel) -> dict[str, str]:
    """Return the kind of each node of an ONNX file by its name.

    Raises:
        ArtifactError: it is no ONNX file.
        MissingDependency: onnx is not installed.
    """
    try:
        graph = vendor.onnx().load(model.path, load_external_data=False).graph
    except Exception as error:  # protobuf's own errors share no base but Exception
        raise ArtifactError(f"Cannot read {model.path}", got=error, expected="ONNX") from error
    return {node.name: node.op_type for node in graph.node}


def engine_shares(
    layers: Sequence[EngineLayer],
    times_ms: Mapping[str, Sequence[float]],
    kinds_of_nodes: Mapping[str, str],
) -> EngineShares:
    """Share out the time of an engine's layers, of which each is the median of its runs.

    `times_ms` holds each layer's times by its name, from `profile_engine`, and `kinds_of_nodes`
    is what `operators` says of the ONNX file that the engine was built from.

    Raises:
        CheckFailed: the profiler timed nothing, or nothing that the inspector knows.
    """
    known = {layer.name: layer for layer in layers}
    medians = {name: median(times) for name, times in times_ms.items() if times}
    total = sum(medians.values())
    if not total or not known.keys() & medians.keys():
        raise CheckFailed(
            "The profiler's layers are not those of the engine",
            got=", ".join(list(medians)[:3]) or "no times",
            expected=", ".join(list(known)[:3]) or "layers in the engine",
        )
    kinds: dict[str, float] = defaultdict(float)
    blocks: dict[str, float] = defaultdict(float)
    for name, ms in medians.items():
        layer = known.get(name) or EngineLayer(name, "", (), reformats=False, type=None)
        nodes = _nodes_of(layer, kinds_of_nodes)
        kinds[_kind(layer, [kinds_of_nodes[node] for node in nodes])] += ms / total
        blocks[", ".join(dict.fromkeys(map(block_of, nodes)))] += ms / total
    return EngineShares(dict(kinds), dict(blocks), max(map(len, times_ms.values())))


def _nodes_of(layer: EngineLayer, known: Mapping[str, str]) -> list[str]:
    """Return the ONNX nodes of a layer: those that it names, else those that its name is made of.

    TensorRT's parser names layers that a node brings with it after the node.
    """
    named = layer.nodes or tuple(
        _COMPILED.sub("", part.strip()) for part in _JOINTS.split(layer.name)
    )
    return [name for name in dict.fromkeys(named) if name in known]


def _kind(layer: EngineLayer, operators_: Sequence[str]) -> str:
    if layer.reformats:
        return "reformats"
    products = sorted({_PRODUCTS[op] for op in operators_ if op in _PRODUCTS})
    if products:
        return " and ".join(products)
    return "copies" if operators_ and set(operators_) <= _COPIES else "others"
