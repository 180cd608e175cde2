"""Bound the time of a network on a machine: each layer at the larger of its two limits.

Williams et al., 2009, "Roofline: an insightful visual performance model for multicore
architectures". A network's floor counts what no engine can leave out, its convolutions and matrix
products, one after another, each reading its inputs from memory. Pooling, Concat, Softmax and the
like have limits of their own and stand beside it: an engine may fuse or elide them. A machine
whose cache holds a layer's tensors can be faster than this where memory is the limit, and a
convolution by Winograd's method multiplies less than is counted here.

The article's network at 1 x 512 x 512 in float16, at 790 TFLOP/s and 4.3 TB/s: 125.8 GFLOP, a
floor of 174 us; what else it moves would take 42 us more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .ceilings import Ceilings
from .graph_cost import LayerCost, NetworkCost

__all__ = ["LayerLimit", "Roofline", "layer_limit", "roofline"]


@dataclass(frozen=True, slots=True)
class LayerLimit:
    """Hold a layer and the least time for it.

    Attributes:
        attainable_ns: flops / peak or bytes / bandwidth, whichever is more; None where the peak of
            its type was not measured.
        bound_by: "compute" or "memory"; None likewise.
    """

    layer: LayerCost
    attainable_ns: float | None
    bound_by: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the layer's row of the benchmark's record."""
        return {
            "name": self.layer.name,
            "block": self.layer.block,
            "op": self.layer.op,
            "flops": self.layer.flops,
            "bytes": self.layer.nbytes,
            "attainable_ns": self.attainable_ns,
        }


@dataclass(frozen=True, slots=True)
class Roofline:
    """Hold the limits of a network's layers, in the graph's order.

    Attributes:
        cost: of the network.
        limits: of its layers.
    """

    cost: NetworkCost
    limits: tuple[LayerLimit, ...]

    @property
    def attainable_ns(self) -> float | None:
        """Return the network's floor: its convolutions and matrix products, one after another."""
        return _total([limit for limit in self.limits if limit.layer.flops])

    @property
    def blocks_ns(self) -> dict[str, float | None]:
        """Return the floor of each Keras block that has convolutions, in the graph's order."""
        found: dict[str, list[LayerLimit]] = {}
        for limit in self.limits:
            if limit.layer.flops:
                found.setdefault(limit.layer.block, []).append(limit)
        return {block: _total(limits) for block, limits in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Return the network's entry of the benchmark's record."""
        return {
            "batch": self.cost.batch,
            "height": self.cost.height,
            "width": self.cost.width,
            "channels": self.cost.channels,
            "precision": self.cost.precision,
            "flops": self.cost.flops,
            "bytes": self.cost.nbytes,
            "attainable_ns": self.attainable_ns,
            "layers": [limit.to_json() for limit in self.limits],
        }


def roofline(
    cost: NetworkCost, ceilings: Ceilings, computes_in: Mapping[str, str] | None = None
) -> Roofline:
    """Compare each layer with the machine's ceilings.

    Args:
        cost: of the network.
        ceilings: of the machine.
        computes_in: types that the machine takes for others: {"float32": "tf32"} on a GPU's tensor
            cores, {"float16": "float32"} on a CPU whose library converts it.

    >>> from pathlib import Path
    >>> from unetrt.artifacts import OnnxModel
    >>> from unetrt.benchmarks.roofline.graph_cost import graph_cost
    >>> cost = graph_cost(OnnxModel.load(Path("model.onnx")), batch=1, height=32, width=32)
    >>> machine = Ceilings({"float32": 1e12}, 1e11, "said", "a CPU", "2026-01-01")
    >>> cost.flops, round(roofline(cost, machine).attainable_ns)
    (1859584, 2409)
    """
    return Roofline(cost, tuple(layer_limit(one, ceilings, computes_in) for one in cost.layers))


def layer_limit(
    layer: LayerCost, ceilings: Ceilings, computes_in: Mapping[str, str] | None = None
) -> LayerLimit:
    """Compare one layer with the machine's ceilings; see `roofline`."""
    memory_ns = layer.nbytes / ceilings.bytes_per_s * 1e9
    if not layer.flops:
        return LayerLimit(layer, memory_ns, "memory")
    taken = (computes_in or {}).get(layer.computes_in, layer.computes_in)
    peak = ceilings.flops_per_s.get(taken)
    if peak is None:
        return LayerLimit(layer, None, None)
    compute_ns = layer.flops / peak * 1e9
    bound_by = "compute" if compute_ns >= memory_ns else "memory"
    return LayerLimit(layer, max(compute_ns, memory_ns), bound_by)


def _total(limits: list[LayerLimit]) -> float | None:
    """Return the sum; None where a part of it is unknown."""
    known = [limit.attainable_ns for limit in limits if limit.attainable_ns is not None]
    return sum(known) if len(known) == len(limits) else None
