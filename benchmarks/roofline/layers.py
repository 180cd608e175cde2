"""Time each convolution of a network on its own: cut out, opened by itself."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unetrt.artifacts import OnnxModel
from unetrt.errors import UnetrtError
from unetrt.precision import Precision
from unetrt.runtime import Session

from ..candidates import BoundCandidate
from ..measure import MeasureSpec, measure
from .ceilings import Ceilings
from .graph_cost import LayerCost, Value, block_of, node_cost, shaped_graph
from .one_node import random_tensors, write_node
from .roofline import LayerLimit, layer_limit

__all__ = ["LayerTime", "cut_layers", "measure_layers"]

_CUT = {"Conv", "ConvTranspose"}
_PRECISIONS = {Precision.FP32, Precision.FP16}

Opener = Callable[[OnnxModel], Session]
"""Opens a layer's file, as it is or as an engine made of it."""


@dataclass(frozen=True, slots=True)
class OneLayer:
    """Describe a convolution as it stands in the network, and the others of the same shapes.

    Attributes:
        cost: on its own, nothing fused.
        node: its NodeProto.
        values: of its inputs and its output.
        also: names of the other layers that it stands for.
    """

    cost: LayerCost
    node: Any
    values: Mapping[str, Value]
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerTime:
    """Hold the times of a layer on its own, in nanoseconds.

    Attributes:
        layer: that was run.
        precision: FP32 or FP16, of its tensors.
        samples_ns: of each run: by the device's events where it has them, else by the host.
        failure: why there are none, if so.
    """

    layer: OneLayer
    precision: Precision
    samples_ns: tuple[int, ...]
    failure: str | None = None

    @property
    def median_ns(self) -> float | None:
        """Return the median; None of a layer that did not run."""
        return statistics.median(self.samples_ns) if self.samples_ns else None

    def limit(self, ceilings: Ceilings, computes_in: Mapping[str, str] | None = None) -> LayerLimit:
        """Compare it with the machine's ceilings; see `roofline`."""
        return layer_limit(self.layer.cost, ceilings, computes_in)

    def share(
        self, ceilings: Ceilings | None, computes_in: Mapping[str, str] | None = None
    ) -> float | None:
        """Return the attained share of the best that the machine could do; None if unknown."""
        best = None if ceilings is None else self.limit(ceilings, computes_in).attainable_ns
        return None if best is None or self.median_ns is None else best / self.median_ns

    def to_json(
        self, ceilings: Ceilings | None, computes_in: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """Return the rows of the benchmark's record, one for each layer that it stands for.

        None of a layer that did not run; that is a failure of the record.
        """
        if self.median_ns is None:
            return []
        cost = self.layer.cost
        best = None if ceilings is None else self.limit(ceilings, computes_in).attainable_ns
        return [
            {
                "name": name,
                "block": block_of(name),
                "op": cost.op,
                "precision": self.precision,
                "flops": cost.flops,
                "bytes": cost.nbytes,
                "attainable_ns": best,
                "median_ns": self.median_ns,
                "n": len(self.samples_ns),
            }
            for name in (cost.name, *self.layer.also)
        ]


def cut_layers(model: OnnxModel, *, batch: int, height: int, width: int) -> list[OneLayer]:
    """Return the convolutions of `model` at that size, in its order, each shape once.

    Quantised ones are left out, since on its own such a node is not int8, and bfloat16 ones, since
    engines take no bfloat16 from outside.

    Raises:
        ArtifactError, UnsupportedModel, MissingDependency: see `shaped_graph`.
    """
    graph, values = shaped_graph(model, batch=batch, height=height, width=width)
    found: dict[tuple[Any, ...], OneLayer] = {}
    for node in graph.node:
        kernel = values[node.input[1]] if node.op_type in _CUT else None
        if (
            kernel is None
            or not kernel.constant
            or Precision.lookup("numpy", kernel.dtype) not in _PRECISIONS
        ):
            continue
        names = [name for name in (*node.input, node.output[0]) if name]
        own = {name: values[name] for name in names}
        key = (
            node.op_type,
            tuple(sorted(a.SerializeToString() for a in node.attribute)),
            tuple((value.shape, value.dtype) for value in own.values()),
        )
        known = found.get(key)
        if known is None:
            found[key] = OneLayer(node_cost(node, own), node, own)
        else:
            found[key] = replace(known, also=(*known.also, node.name or node.output[0]))
    return list(found.values())


def measure_layers(
    cut: Sequence[OneLayer],
    open_layer: Opener,
    folder: Path,
    spec: MeasureSpec | None = None,
    on_layer: Callable[[str], None] = lambda _line: None,
) -> Iterator[LayerTime]:
    """Yield the times of each layer, as soon as it has them; its file is left in `folder`.

    A layer that cannot be opened or run is a result with its reason.

    Args:
        cut: from `cut_layers`.
        open_layer: opens a layer's file.
        folder: for the files.
        spec: how often each runs.
        on_layer: called with the name of each layer before it runs.
    """
    for number, layer in enumerate(cut):
        precision = Precision.from_numpy(layer.cost.computes_in)
        on_layer(f"{layer.cost.name} in {precision}")
        file = folder / f"{number:02}-{layer.cost.name.replace('/', '-')}.{precision}.onnx"
        try:
            with open_layer(write_node(layer.node, layer.values, file)) as session:
                samples = _timed(session, layer.cost.name, spec or MeasureSpec())
        except UnetrtError as error:
            yield LayerTime(layer, precision, (), str(error))
        else:
            yield LayerTime(layer, precision, samples)


def _timed(session: Session, name: str, spec: MeasureSpec) -> tuple[int, ...]:
    with closing(BoundCandidate(name, session, random_tensors(session.inputs))) as candidate:
        taken = measure([candidate], spec)[name]
    return taken.stages_ns.get("compute", taken.host_ns)
