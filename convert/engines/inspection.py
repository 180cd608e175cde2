"""What the builder made of the network, as the engine inspector tells it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

__all__ = ["Inspection", "inspect_engine", "read_inspection"]

_WORDS = {
    "fp32": ("FP32", "FLOAT"),
    "fp16": ("FP16", "HALF"),
    "bf16": ("BF16", "BFLOAT16"),
    "int8": ("INT8",),
    "fp8": ("FP8",),
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is in a built engine.

    Attributes:
        layers: after the builder has fused them.
        reformats: layers that do nothing but change a tensor's layout or type.
        types: how many layers, reformats aside, read each floating-point or quantised type first;
            empty where the engine holds layers' names only.
        inputs_and_outputs: names of the engine's own tensors.
    """

    layers: int
    reformats: int
    types: dict[str, int]
    inputs_and_outputs: tuple[str, ...]


def inspect_engine(trt: Any, engine: Any) -> Inspection:
    """Inspect an engine that the library has opened, which takes a GPU."""
    told = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    return read_inspection(told)


def read_inspection(told: str) -> Inspection:
    """Read the inspector's JSON: TensorRT 10's "Bindings", or 11's "I/O Tensors".

    Engines built without details list layers by name alone.
    """
    document = json.loads(told)
    layers = document.get("Layers", [])
    tensors = document.get("I/O Tensors", document.get("Bindings", []))
    moves = [_is_reformat(layer) for layer in layers]
    types = Counter(
        name
        for layer, moved in zip(layers, moves, strict=True)
        if not moved and (name := _type(layer)) is not None
    )
    return Inspection(
        layers=len(layers),
        reformats=sum(moves),
        types=dict(types),
        inputs_and_outputs=tuple(t if isinstance(t, str) else str(t["Name"]) for t in tensors),
    )


def _is_reformat(layer: Any) -> bool:
    if isinstance(layer, str):
        return layer.startswith("Reformatting CopyNode")
    return "Reformat" in (layer.get("LayerType"), str(layer.get("Origin")).capitalize())


def _type(layer: Any) -> str | None:
    """Return the type of a layer's first input; versions 10 and 11 spell the key differently."""
    if isinstance(layer, str) or not layer.get("Inputs"):
        return None
    tensor = layer["Inputs"][0]
    text = next(
        (
            str(tensor[key])
            for key in ("DataType", "Datatype", "Format/Datatype", "Format/DataType")
            if key in tensor
        ),
        "",
    )
    words = text.upper().replace(".", " ").split()
    return next((name for name, own in _WORDS.items() if set(own) & set(words)), None)
