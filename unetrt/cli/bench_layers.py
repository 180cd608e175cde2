"""`unetrt bench --layers`: each convolution of a network as its own engine, FP32 and FP16."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unetrt.cli.output import figure, table
from unetrt.errors import BadInput, ShapeError
from unetrt.precision import Precision

if TYPE_CHECKING:
    from rich.table import Table

    from unetrt.artifacts import OnnxModel
    from unetrt.benchmarks.record import Record
    from unetrt.benchmarks.roofline.ceilings import Ceilings
    from unetrt.benchmarks.roofline.layers import LayerTime
    from unetrt.benchmarks.roofline.roofline import Roofline
    from unetrt.progress import Progress
    from unetrt.runtime import Session

__all__ = ["LayerBench", "bench_layers", "layers_record"]

_PRECISIONS = ("fp32", "fp16")
_SIZE, _SAMPLES = (512, 512), 100
_ON_FILES = ("onnxruntime", "openvino")
_DOUBTFUL = 1.05
"""A share of what the machine can do that no layer should reach."""
_BACKENDS = ("auto", *_ON_FILES, "tensorrt", "tensorrt-rtx")


class LayerBench(NamedTuple):
    """Parts of a benchmark's record, "layers" and others by their names, and how to show them."""

    result: dict[str, Any]
    shown: list[Table | str]


def bench_layers(
    artifacts: list[Path],
    progress: Progress,
    *,
    batch: int = 1,
    size: tuple[int, int] = _SIZE,
    backend: str = "auto",
    samples: int = _SAMPLES,
) -> LayerBench:
    """Time each convolution of ONNX files alone, beside what the machine could do with it.

    Without files, those of the article's network in float32 and float16. "auto" builds engines
    where there is a GPU, else runs ONNX Runtime. "tensorrt-rtx" builds them anywhere: without a
    GPU the rows say that they were not run.

    Raises:
        ArtifactError, UnsupportedModel: a file that is no ONNX file, or whose shapes are unknown.
        ShapeError: a size that a network cannot halve.
        BadInput: no such backend, or no convolution in float32 or float16.
    """
    from unetrt.benchmarks.measure import MeasureSpec
    from unetrt.benchmarks.roofline.ceilings import ceilings_of
    from unetrt.benchmarks.roofline.graph_cost import graph_cost
    from unetrt.benchmarks.roofline.layers import cut_layers, measure_layers
    from unetrt.benchmarks.roofline.roofline import roofline
    from unetrt.gpu import find_gpu

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
            ceilings, said = ceilings_of(device, _build)
        roofs = {
            model.path.stem: roofline(graph_cost(model, **shape), ceilings, computes_in)
            for model in models
            if ceilings is not None
        }
        with progress.step("layers", f"Timing {len(layers)} convolutions, each on its own"):
            plan = MeasureSpec(samples=samples)
            taken = list(
                measure_layers(layers, _opener(backend), Path(folder), plan, progress.tick)
            )
    failures = [
        {"id": f"layer/{one.layer.cost.name}/{one.precision}", "reason": one.failure}
        for one in taken
        if one.failure is not None
    ]
    result = {
        "layers": [row for one in taken for row in one.to_json(ceilings, computes_in)],
        "ceilings": None if ceilings is None else ceilings.to_json(),
        "networks": {name: roof.to_json() for name, roof in roofs.items()},
        "failures": failures,
    }
    shares = [one.share(ceilings, computes_in) for one in taken]
    shown: list[Table | str] = [_table(taken, ceilings, computes_in, size, batch), said]
    if roofs:
        shown.insert(1, _blocks_table(roofs))
    above = sum((share or 0) > _DOUBTFUL for share in shares)
    if above:
        shown.append(
            f"{above} of {len(taken)} were faster than the ceilings allow: these were measured on "
            "a busy machine, or the library multiplies less than is counted (Winograd)"
        )
    if failures:
        first = failures[0]["reason"]
        shown.append(f"{len(failures)} of {len(taken)} did not run. The first: {first}")
    return LayerBench(result, shown)


def layers_record(
    record: Record,
    artifacts: list[Path],
    progress: Progress,
    batch: int,
    size: str | None,
    backend: str,
    samples: int | None,
) -> tuple[Record, list[Table | str]]:
    """Return the record with what `bench_layers` finds in it, and what to show of that."""
    from unetrt.benchmarks.record import Failure
    from unetrt.cli.benched import sides

    found = bench_layers(
        artifacts,
        progress,
        batch=batch,
        size=_SIZE if size is None else sides(size),
        backend=backend,
        samples=samples or _SAMPLES,
    )
    filled = replace(
        record,
        layers=tuple(found.result["layers"]),
        ceilings=found.result["ceilings"],
        networks=found.result["networks"],
        failures=tuple(Failure(**one) for one in found.result["failures"]),
    )
    return filled, found.shown


def _models(artifacts: list[Path], folder: Path, size: tuple[int, int]) -> list[OnnxModel]:
    from unetrt.artifacts import OnnxModel
    from unetrt.benchmarks.networks.skeletons import fill_skeleton

    models = [OnnxModel.load(path) for path in artifacts] or [
        fill_skeleton("article", folder / f"article.{name}.onnx", precision=name)
        for name in _PRECISIONS
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


def _opener(backend: str) -> Callable[[OnnxModel], Session]:
    from unetrt.gpu import find_gpu
    from unetrt.runtime import SessionSpec, open_session

    if backend == "auto" and find_gpu() is None:
        backend = "onnxruntime"
    if backend in _ON_FILES:
        return lambda model: open_session(model, SessionSpec(backend=backend))
    return lambda model: open_session(_build(model, model.path.with_suffix(".engine"), backend))


def _build(model: OnnxModel, path: Path, backend: str = "auto") -> Any:
    from unetrt.convert.to_engine import EngineSpec, build_engine

    return build_engine(model, path, EngineSpec(backend=backend))


def _table(
    taken: list[LayerTime],
    ceilings: Ceilings | None,
    computes_in: dict[str, str],
    size: tuple[int, int],
    batch: int,
) -> Table:
    rows = []
    for one in taken:
        cost, alike = one.layer.cost, len(one.layer.also)
        limit = None if ceilings is None else one.limit(ceilings, computes_in)
        share = one.share(ceilings, computes_in)
        rows.append(
            [
                cost.name + (f" (and {alike} alike)" if alike else ""),
                one.precision,
                figure(cost.flops / 1e9, 2),
                figure(cost.nbytes / 1e6, 1),
                figure(None if limit is None else _us(limit.attainable_ns), 1),
                figure(_us(one.median_ns), 1),
                "-" if share is None else f"{share:.0%}",
                (limit and limit.bound_by) or "-",
            ]
        )
    title = f"Each convolution on its own at {batch} x {size[0]} x {size[1]}; not to be added up"
    columns = ["", "type", "GFLOP", "MB", "at best, us", "median, us", "of the best", "limit"]
    return table(title, columns, rows)


def _blocks_table(roofs: dict[str, Roofline]) -> Table:
    """Return the least time for each Keras block, the files side by side."""
    blocks = dict.fromkeys(block for roof in roofs.values() for block in roof.blocks_ns)
    rows = [
        [block, *(figure(_us(roof.blocks_ns.get(block)), 1) for roof in roofs.values())]
        for block in blocks
    ]
    rows.append(["the network", *(figure(_us(roof.attainable_ns), 1) for roof in roofs.values())])
    return table("The best that the machine could do, us", ["", *roofs], rows)


def _us(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e3
