"""`unetrt bench --layers`: each convolution of a network as its own engine, FP32 and FP16."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from unetrt.commands.shell import figure, table
from unetrt.errors import BadInput, ShapeError

if TYPE_CHECKING:
    from rich.table import Table

    from unetrt.artifacts import OnnxModel
    from unetrt.benchmarks.layers import LayerTime
    from unetrt.progress import Progress
    from unetrt.runtime import Session

__all__ = ["LayerBench", "bench_layers"]

_PRECISIONS = ("fp32", "fp16")
_ON_FILES = ("onnxruntime", "openvino")
_BACKENDS = ("auto", *_ON_FILES, "tensorrt", "tensorrt-rtx")


class LayerBench(NamedTuple):
    """What was found, JSON-ready ("layers", "ceilings", "networks"), and how to show it."""

    result: dict[str, Any]
    shown: list[Table | str]


def bench_layers(
    artifacts: list[Path],
    progress: Progress,
    *,
    batch: int = 1,
    size: tuple[int, int] = (512, 512),
    backend: str = "auto",
    samples: int = 100,
) -> LayerBench:
    """Time each convolution of ONNX files alone, beside what the machine could do with it.

    Without files, those of the article's network in float32 and float16. "auto" builds engines
    where there is a GPU, else runs ONNX Runtime. "tensorrt-rtx" builds them anywhere: without a
    GPU the rows say that they were not run.

    Raises:
        ArtifactError, UnsupportedModel: a file that is no ONNX file, or whose shapes are unknown.
        ShapeError: a size that a network cannot halve.
        BadInput: no such backend.
    """
    from unetrt.benchmarks.ceilings import ceilings_of
    from unetrt.benchmarks.graph_cost import graph_cost
    from unetrt.benchmarks.layers import cut_layers, measure_layers
    from unetrt.benchmarks.measure import Plan
    from unetrt.benchmarks.roofline import roofline
    from unetrt.gpu import find_gpu

    if backend not in _BACKENDS:
        raise BadInput("There is no such backend", got=repr(backend), expected=", ".join(_BACKENDS))
    device = "cpu" if find_gpu() is None else "gpu"
    # No library here computes in float16 on a CPU.
    computes_in = {"float16": "float32"} if device == "cpu" else {}
    with tempfile.TemporaryDirectory() as folder:
        models = _models(artifacts, Path(folder), size)
        with progress.step("ceilings", "Measuring what the machine can do, unless it is known"):
            ceilings, said = ceilings_of(device, _build)
        shape = {"batch": batch, "height": size[0], "width": size[1]}
        networks = {
            model.path.stem: roofline(graph_cost(model, **shape), ceilings, computes_in).to_json()
            for model in models
            if ceilings is not None
        }
        cuts = zip_longest(*(cut_layers(model, **shape) for model in models))
        layers = [layer for layer in chain.from_iterable(cuts) if layer is not None]
        with progress.step("layers", f"Timing {len(layers)} convolutions, each on its own"):
            plan = Plan(samples=samples)
            taken = list(
                measure_layers(layers, _opener(backend), Path(folder), plan, progress.tick)
            )
    rows = [one.to_json(ceilings, computes_in) for one in taken]
    result = {
        "layers": rows,
        "ceilings": None if ceilings is None else ceilings.to_json(),
        "networks": networks,
    }
    shown: list[Table | str] = [_table(taken, rows, size, batch), said]
    failures = [one.failure for one in taken if one.failure is not None]
    if failures:
        shown.append(f"{len(failures)} of {len(taken)} did not run. The first: {failures[0]}")
    return LayerBench(result, shown)


def _models(artifacts: list[Path], folder: Path, size: tuple[int, int]) -> list[OnnxModel]:
    from unetrt.artifacts import OnnxModel
    from unetrt.benchmarks.skeleton import fill_skeleton

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
    taken: list[LayerTime], rows: list[dict[str, Any]], size: tuple[int, int], batch: int
) -> Table:
    shown = [
        [
            one.layer.cost.name + (f" (and {len(one.layer.also)} alike)" if one.layer.also else ""),
            one.precision,
            figure(row["flops"] / 1e9, 2),
            figure(row["bytes"] / 1e6, 1),
            figure(_us(row["attainable_ns"]), 1),
            figure(_us(row["median_ns"]), 1),
            "-" if row["share"] is None else f"{row['share']:.0%}",
            row["bound_by"] or "-",
        ]
        for one, row in zip(taken, rows, strict=True)
    ]
    title = f"Each convolution on its own at {batch} x {size[0]} x {size[1]}; not to be added up"
    columns = ["", "type", "GFLOP", "MB", "at best, us", "median, us", "of the best", "limit"]
    return table(title, columns, shown)


def _us(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e3
