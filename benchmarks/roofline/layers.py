"""Time each convolution of a network on its own, beside what the machine could do with it."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import unetrt
from unetrt.artifacts import Engine, OnnxModel
from unetrt.errors import BadInput, ShapeError, UnetrtError
from unetrt.gpu import find_gpu
from unetrt.precision import Precision
from unetrt.progress import Progress
from unetrt.runtime import Session, SessionSpec, open_session

from ..candidates import BoundCandidate
from ..measure import MeasureSpec, measure
from ..networks.skeletons import fill_skeleton
from ..record import Failure, Record
from .ceilings import Ceilings, ceilings_of
from .graph_cost import LayerCost, Value, block_of, graph_cost, node_cost, shaped_graph
from .one_node import random_tensors, write_node
from .roofline import LayerLimit, Roofline, layer_limit, roofline

__all__ = ["LayerBench", "LayerTime", "bench_layers", "cut_layers", "measure_layers"]

_ON_FILES = ("onnxruntime", "openvino")
_BACKENDS = ("auto", *_ON_FILES, "tensorrt", "tensorrt-rtx")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBench:
    """Hold the time of each convolution of some networks beside what the machine could do.

    Attributes:
        shape: batch, height and width of the image.
        times: of each convolution, alike ones once.
        ceilings: of the machine; None where they could not be measured.
        ceilings_note: how they are known, or why not.
        computes_in: the type that a type is computed in where the two differ.
        rooflines: of whole networks, by the name of the file.
    """

    shape: tuple[int, int, int]
    times: tuple[LayerTime, ...]
    ceilings: Ceilings | None
    ceilings_note: str
    computes_in: Mapping[str, str]
    rooflines: Mapping[str, Roofline]

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Return the layers that could not be run, and why."""
        return tuple(
            Failure(f"layer/{one.layer.cost.name}/{one.precision}", one.failure)
            for one in self.times
            if one.failure is not None
        )

    def shares(self) -> list[float | None]:
        """Return how near each layer came to the best that the machine could do: 1 is the best."""
        return [one.share(self.ceilings, self.computes_in) for one in self.times]

    def added_to(self, record: Record) -> Record:
        """Return the record with these layers in it."""
        rows = (row for one in self.times for row in one.to_json(self.ceilings, self.computes_in))
        return replace(
            record,
            layers=tuple(rows),
            ceilings=None if self.ceilings is None else self.ceilings.to_json(),
            networks={name: roof.to_json() for name, roof in self.rooflines.items()},
            failures=self.failures,
        )


def bench_layers(
    artifacts: Sequence[str | Path] = (),
    *,
    batch: int = 1,
    size: tuple[int, int] = (512, 512),
    backend: str = "auto",
    samples: int = 100,
    progress: Progress | None = None,
) -> LayerBench:
    """Time each convolution of ONNX files alone, beside what the machine could do with it.

    Args:
        artifacts: ONNX files; without any, the article's network in float32 and float16.
        batch: images at once.
        size: height and width of the image, in pixels.
        backend: "onnxruntime", "openvino", "tensorrt" or "tensorrt-rtx", which build an engine of
            each layer (TensorRT-RTX anywhere; without a GPU they are not run), or "auto": engines
            where there is a GPU, else ONNX Runtime.
        samples: timed runs of each layer.
        progress: is told of every layer.

    Raises:
        ArtifactError, UnsupportedModel: a file that is no ONNX file, or whose shapes are unknown.
        ShapeError: a size that a network cannot halve.
        BadInput: no such backend, or no convolution in float32 or float16.
    """
    progress = progress or Progress()
    if backend not in _BACKENDS:
        raise BadInput("There is no such backend", got=repr(backend), expected=", ".join(_BACKENDS))
    device = "cpu" if find_gpu() is None else "gpu"
    # No library here computes in float16 on a CPU.
    converted = {Precision.FP16.compute_dtype: Precision.FP32.compute_dtype}
    computes_in = converted if device == "cpu" else {}
    with tempfile.TemporaryDirectory() as folder:
        models = _models(artifacts, Path(folder), size)
        shape = {"batch": batch, "height": size[0], "width": size[1]}
        cuts = zip_longest(*(cut_layers(model, **shape) for model in models))
        layers = [layer for layer in chain.from_iterable(cuts) if layer is not None]
        if not layers:
            raise BadInput(
                f"There is nothing to time in {', '.join(str(model.path) for model in models)}",
                expected="convolutions in float32 or float16",
            )
        with progress.step("ceilings", "Measuring what the machine can do, unless it is known"):
            ceilings, note = ceilings_of(device, _build)
        roofs = {
            model.path.stem: roofline(graph_cost(model, **shape), ceilings, computes_in)
            for model in models
            if ceilings is not None
        }
        with progress.step("layers", f"Timing {len(layers)} convolutions, each on its own"):
            spec = MeasureSpec(samples=samples)
            times = tuple(
                measure_layers(layers, _opener(backend), Path(folder), spec, progress.tick)
            )
    return LayerBench(
        shape=(batch, *size),
        times=times,
        ceilings=ceilings,
        ceilings_note=note,
        computes_in=computes_in,
        rooflines=roofs,
    )


def _models(
    artifacts: Sequence[str | Path], folder: Path, size: tuple[int, int]
) -> list[OnnxModel]:
    models = [OnnxModel.load(Path(path)) for path in artifacts] or [
        fill_skeleton("article", folder / f"article.{name}.onnx", precision=name)
        for name in sorted(_PRECISIONS, reverse=True)
    ]
    for model in models:
        for side in size:
            if not model.sizes.fits(side):
                raise ShapeError(
                    f"The network of {model.path} cannot halve this size",
                    got=side,
                    expected=str(model.sizes),
                    hint=f"the next that works is {model.sizes.at_least(side)}",
                )
    return models


def _opener(backend: str) -> Opener:
    if backend == "auto" and find_gpu() is None:
        backend = "onnxruntime"
    if backend in _ON_FILES:
        return lambda model: open_session(model, SessionSpec(backend=backend))
    return lambda model: open_session(_build(model, model.path.with_suffix(".engine"), backend))


def _build(model: OnnxModel, path: Path, backend: str = "auto") -> Engine:
    # By name: the benchmarks reach nothing that converts.
    return unetrt.build(model, path, unetrt.EngineSpec(backend=backend))


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
