"""How near a row comes to the machine's ceilings, and the entry of its network in the record."""

from __future__ import annotations

from typing import Any

from unetrt.artifacts import OnnxModel

from ..roofline.ceilings import Ceilings
from ..roofline.graph_cost import graph_cost
from ..roofline.roofline import Roofline, roofline
from .cells import CHANNELS, Cell

__all__ = ["network_entry", "network_key", "row_roofline"]

_NETWORK = ("batch", "height", "width", "precision", "flops", "bytes", "attainable_ns")
_LAYER = ("name", "block", "op", "flops", "bytes", "attainable_ns")


def network_key(cell: Cell) -> str:
    """Return the key of a cell's network in the record."""
    return f"{cell.network}/{cell.precision}/{cell.batch}x{cell.side}x{cell.side}"


def row_roofline(
    model: OnnxModel, cell: Cell, computes_in: str, ceilings: Ceilings
) -> Roofline | None:
    """Hold a cell's network against the ceilings, in the type that most of the row computes in.

    None where the machine's peak in that type was not measured.
    """
    cost = graph_cost(model, batch=cell.batch, height=cell.side, width=cell.side)
    types = {layer.computes_in for layer in cost.layers}
    limit = roofline(cost, ceilings, dict.fromkeys(types, computes_in.partition(",")[0]))
    return None if limit.attainable_ns is None else limit


def network_entry(cell: Cell, limit: Roofline) -> dict[str, Any]:
    """Return the network's entry of the record."""
    found = limit.to_json()
    return {
        **{name: found[name] for name in _NETWORK},
        "precision": cell.precision,
        "channels": CHANNELS,
        "layers": [{name: layer[name] for name in _LAYER} for layer in found["layers"]],
    }
