"""Each convolution of a network on its own: cut out, opened by itself, and timed.

Their times say how well a library does each shape. They are never added up into a latency: a
network fuses, overlaps and keeps in cache what these cannot.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel
from unetrt.errors import UnetrtError
from unetrt.runtime import Session
from unetrt.runtime.bound_run import BoundRun

from .ceilings import Ceilings
from .graph_cost import LayerCost, node_cost
from .graph_shapes import Value, shaped_graph
from .measure import Plan, measure
from .one_node import write_node
from .roofline import layer_limit

__all__ = ["LayerTime", "OneLayer", "cut_layers", "measure_layers"]

_CUT = {"Conv", "ConvTranspose"}
_TYPES = {"float32": "fp32", "float16": "fp16"}

Opener = Callable[[OnnxModel], Session]
"""Opens a layer's file, as it is or as an engine made of it."""


@dataclass(frozen=True, slots=True)
class OneLayer:
    """A convolution as it stands in the network, and the others of the same shapes.

    Attributes:
        cost: what it costs on its own, nothing fused.
        node: its NodeProto.
        values: of its inputs and its output.
        also: the names of the layers that it stands for besides its own.
    """

    cost: LayerCost
    node: Any
    values: Mapping[str, Value]
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerTime:
    """What a layer on its own took, in nanoseconds.

    Attributes:
        layer: which.
        precision: "fp32" or "fp16", of its tensors.
        samples_ns: of each run: by the device's events where it has them, else by the host.
        failure: why there are none, if so.
    """

    layer: OneLayer
    precision: str
    samples_ns: tuple[int, ...]
    failure: str | None = None

    @property
    def median_ns(self) -> float | None:
        """The median; None of a layer that did not run."""
        return statistics.median(self.samples_ns) if self.samples_ns else None

    def to_json(
        self, ceilings: Ceilings | None, computes_in: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the layer's row of the benchmark's record; see `roofline` for `computes_in`."""
        cost, median = self.layer.cost, self.median_ns
        limit = None if ceilings is None else layer_limit(cost, ceilings, computes_in)
        attainable = None if limit is None else limit.attainable_ns
        return {
            "name": cost.name,
            "also": list(self.layer.also),
            "block": cost.block,
            "op": cost.op,
            "precision": self.precision,
            "shapes": [list(shape) for shape in cost.shapes],
            "flops": cost.flops,
            "bytes": cost.nbytes,
            "attainable_ns": attainable,
            "bound_by": None if limit is None else limit.bound_by,
            "median_ns": median,
            "n": len(self.samples_ns),
            "share": None if attainable is None or median is None else attainable / median,
            "failure": self.failure,
        }


def cut_layers(model: OnnxModel, *, batch: int, height: int, width: int) -> list[OneLayer]:
    """Return the convolutions of `model` at that size, in its order, each shape once.

    Quantised ones are left out: on its own such a node is not int8.

    Raises:
        ArtifactError, UnsupportedModel, MissingDependency: see `shaped_graph`.
    """
    graph, values = shaped_graph(model, batch=batch, height=height, width=width)
    found: dict[tuple[Any, ...], OneLayer] = {}
    for node in graph.node:
        if node.op_type not in _CUT or not values[node.input[1]].constant:
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
            found[key] = replace(known, also=(*known.also, node.name))
    return list(found.values())


def measure_layers(
    cut: Sequence[OneLayer],
    open_layer: Opener,
    folder: Path,
    plan: Plan | None = None,
    on_layer: Callable[[str], None] = lambda _line: None,
) -> Iterator[LayerTime]:
    """Yield the times of each layer, as soon as it has them; its file is left in `folder`.

    A layer that cannot be opened or run is a result that says why.
    """
    for number, layer in enumerate(cut):
        precision = _TYPES[layer.cost.computes_in]
        on_layer(f"{layer.cost.name} in {precision}")
        file = folder / f"{number:02}-{layer.cost.name.replace('/', '-')}.{precision}.onnx"
        try:
            with open_layer(write_node(layer.node, layer.values, file)) as session:
                samples = _timed(session, plan or Plan())
        except UnetrtError as error:
            yield LayerTime(layer, precision, (), str(error))
        else:
            yield LayerTime(layer, precision, samples)


def _timed(session: Session, plan: Plan) -> tuple[int, ...]:
    with _bound(session) as bound:
        if bound.compute_ns() is None:
            return measure({"layer": lambda: _run(bound)}, plan)["layer"].latency_ns
        for _ in range(plan.warmup):
            bound.compute_ns()
        taken = (bound.compute_ns() for _ in range(plan.samples))
        return tuple(ns for ns in taken if ns is not None)


def _run(bound: BoundRun) -> None:
    bound.launch()
    bound.wait()


@contextmanager
def _bound(session: Session) -> Iterator[BoundRun]:
    bound = session.bind(_inputs(session))
    try:
        yield bound
    finally:
        bound.close()


def _inputs(session: Session) -> dict[str, NDArray[Any]]:
    """Return normal values: zeros would be multiplied faster than what networks multiply."""
    random = np.random.default_rng(0)
    return {
        tensor.name: random.standard_normal([int(n) for n in tensor.shape], np.float32).astype(
            tensor.dtype
        )
        for tensor in session.inputs
    }
