"""Read the layers of a built engine from the engine inspector's JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from unetrt.precision import Precision

__all__ = ["EngineLayer", "EngineLayers", "read_engine_layers"]

_TYPE_KEYS = ("DataType", "Datatype", "Format/Datatype", "Format/DataType")
"""As versions 10 and 11 spell them."""

_ONNX_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class EngineLayer:
    """Describe a layer of an engine, which may be many of the network's.

    Attributes:
        name: as profilers call it.
        kind: TensorRT's, such as "CaskConvolution" or "kgen"; "" where only names are kept.
        nodes: the ONNX nodes that it computes, where the engine says so.
        reformats: whether it does nothing but change a tensor's layout or type.
        type: of its first input; None where it is unknown.
    """

    name: str
    kind: str
    nodes: tuple[str, ...]
    reformats: bool
    type: Precision | None


@dataclass(frozen=True, slots=True)
class EngineLayers:
    """Hold the layers in the engine's order, and the names of its inputs and outputs."""

    layers: tuple[EngineLayer, ...]
    tensors: tuple[str, ...]


def read_engine_layers(told: str) -> EngineLayers:
    """Read the inspector's JSON: TensorRT 10's "Bindings", or 11's "I/O Tensors".

    Engines built without details list layers by name alone.

    >>> layer = '{"Name": "conv", "LayerType": "CaskConvolution", "Inputs": [{"Datatype": "Half"}]}'
    >>> read = read_engine_layers(f'{{"Layers": [{layer}], "Bindings": ["image"]}}')
    >>> read.layers[0].type, read.tensors
    (<Precision.FP16: 'fp16'>, ('image',))

    Raises:
        ValueError, KeyError, TypeError, AttributeError: another version's JSON.
    """
    document = json.loads(told)
    tensors = document.get("I/O Tensors", document.get("Bindings", []))
    return EngineLayers(
        tuple(map(_layer, document.get("Layers", []))),
        tuple(t if isinstance(t, str) else str(t["Name"]) for t in tensors),
    )


def _layer(told: Any) -> EngineLayer:
    if isinstance(told, str):
        return EngineLayer(told, "", (), told.startswith("Reformatting CopyNode"), None)
    kind = str(told.get("LayerType", ""))
    return EngineLayer(
        name=str(told.get("Name", "")),
        kind=kind,
        nodes=tuple(_ONNX_NODE.findall(str(told.get("Metadata", "")))),
        reformats="Reformat" in (kind, str(told.get("Origin")).capitalize()),
        type=_type(told),
    )


def _type(told: Any) -> Precision | None:
    if not told.get("Inputs"):
        return None
    tensor = told["Inputs"][0]
    text = next((str(tensor[key]) for key in _TYPE_KEYS if key in tensor), "")
    words = set(text.upper().replace(".", " ").split())
    # The inspector writes "Half" or "FP16", "BFloat16" or "BF16".
    return next((p for p in Precision if words & {p.upper(), p.tensorrt, p.numpy.upper()}), None)
