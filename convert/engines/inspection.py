"""What the builder made of the network, as the engine inspector tells it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from unetrt.engine_layers import read_engine_layers

__all__ = ["Inspection", "inspect_engine", "read_inspection"]


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
    read = read_engine_layers(told)
    moves = sum(layer.reformats for layer in read.layers)
    types = Counter(
        layer.type for layer in read.layers if not layer.reformats and layer.type is not None
    )
    return Inspection(len(read.layers), moves, dict(types), read.tensors)
