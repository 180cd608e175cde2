"""`unetrt bench`: time artifacts side by side."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import unetrt
from unetrt.benchmarks import (
    Comparison,
    MeasureSpec,
    OpenLoop,
    Paced,
    Pipelined,
    Record,
    Row,
    Serialised,
    write_record,
)
from unetrt.benchmarks.bench import BenchSpec, new_record
from unetrt.benchmarks.modes import Mode
from unetrt.benchmarks.record import SCOPES
from unetrt.benchmarks.roofline.layers import bench_layers
from unetrt.cli.bench_layers import layer_tables
from unetrt.cli.options import Fast, SizeOption
from unetrt.cli.output import ShownProgress, emit, figure, interval, table
from unetrt.cli.shell import AsJson, refuse_options
from unetrt.errors import BadInput
from unetrt.runtime import SessionSpec

__all__ = ["bench"]


class ModeName(StrEnum):
    """Say how runs follow each other."""

    SERIALISED = "serialised"
    PIPELINED = "pipelined"
    PACED = "paced"
    OPEN_LOOP = "open-loop"


class ScopeName(StrEnum):
    """Say what of a network is timed."""

    CORE = "core"
    END_TO_END = "end-to-end"


_MODES: dict[ModeName | None, Mode] = {
    None: Serialised(),
    ModeName.SERIALISED: Serialised(),
    ModeName.PIPELINED: Pipelined(),
    ModeName.PACED: Paced(),
}


def bench(
    artifacts: Annotated[
        list[Path] | None, typer.Argument(help=".keras, .onnx and .engine files.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Images at once.")] = 1,
    size: SizeOption = None,
    mode: Annotated[ModeName | None, typer.Option(help="How runs follow: serialised.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.0, help="Arrivals a second, of open-loop.")
    ] = None,
    scope: Annotated[
        ScopeName | None,
        typer.Option(help="The network alone, or from image to labels; both by default."),
    ] = None,
    percentile: Annotated[
        float | None, typer.Option(help="To be told: 90; it chooses the number of runs.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, help="Runs of each, instead; fewer tell no percentile.")
    ] = None,
    fast: Fast = False,
    data: Annotated[
        str | None,
        typer.Option(help='"brain", or a folder: its test images; random ones by default.'),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of random images: 0.")] = None,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="Each convolution of .onnx files as its own engine instead; without files, of "
            "the article's network.",
        ),
    ] = False,
    backend: Annotated[
        str | None,
        typer.Option(help="Of ONNX files, as of predict; --layers also has tensorrt-rtx."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="RECORD.json, for `unetrt compare`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Time artifacts side by side.

    What disagrees with the first artifact is not timed. Each is compared with the first one, which
    also runs beside itself: a difference must be larger than its own. Without --data, on random
    images of the network's own size, or of 512 x 512 pixels where any size would do.
    """
    paths, progress = artifacts or [], ShownProgress()
    command = shlex.join(["unetrt", *sys.argv[1:]])
    sides = None if size is None else size.sides
    wrote = [] if out is None else [f"Wrote {out}"]
    if layers:
        refuse_options(
            "bench --layers", mode=mode, rate=rate, scope=scope, percentile=percentile, fast=fast,
            data=data, seed=seed,
        )  # fmt: skip
        found = bench_layers(
            paths,
            batch=batch,
            size=sides or (512, 512),
            backend=backend or "auto",
            samples=samples or 100,
            progress=progress,
        )
        record = found.added_to(new_record(command))
        if out is not None:
            write_record(record, out)
        emit(record.to_json(), as_json=as_json, shown=[*layer_tables(found), *wrote])
        return
    if not paths:
        raise BadInput(
            "There is nothing to time",
            expected="ONNX files, engines or Keras models, or --layers",
        )
    if data is not None:
        refuse_options("bench --data", seed=seed)
    if all(path.suffix != ".onnx" for path in paths):
        refuse_options("bench without an ONNX file", backend=backend, fast=fast)
    spec = BenchSpec(
        batch=batch,
        size=sides,
        scopes=SCOPES if scope is None else (scope.replace("-", "_"),),
        seed=seed or 0,
        measure=MeasureSpec(percentile=percentile, samples=samples, mode=_mode(mode, rate)),
        session=SessionSpec(backend=backend or "auto", precision="fast" if fast else "own"),
    )
    record = unetrt.bench(paths, spec, data=data, out=out, command=command, progress=progress)
    emit(record.to_json(), as_json=as_json, shown=[*_tables(record), *wrote])


def _mode(name: ModeName | None, rate: float | None) -> Mode:
    if (rate is not None) != (name is ModeName.OPEN_LOOP):
        raise BadInput(
            f"The mode {name or ModeName.SERIALISED} "
            f"{'takes no' if rate is not None else 'needs a'} --rate",
            expected="--rate with --mode open-loop, and with no other",
        )
    return _MODES[name] if rate is None else OpenLoop(rate_per_s=rate)


def _tables(record: Record) -> list[Table | str]:
    shown: list[Table | str] = []
    for scope in dict.fromkeys(row.scope for row in record.rows):
        rows = {row.id: row for row in record.rows if row.scope == scope}
        lines = [
            [
                row.network,
                row.backend,
                row.arithmetic,
                *(figure(row.latency_ms.get(p), 2) for p in ("p50", "p90", "p99")),
                figure(row.images_per_s, 1),
            ]
            for row in rows.values()
        ]
        first = next(iter(rows.values()))
        title = (
            f"{scope.replace('_', ' ')}, {first.mode}: milliseconds at "
            f"{' x '.join(map(str, first.shape))}, {first.latency_ms['n']:.0f} runs"
        )
        columns = ["", "backend", "computes in", "p50", "p90", "p99", "images/s"]
        shown.append(table(title, columns, lines))
        shown += [_sentence(one, rows) for one in record.comparisons if one.b in rows]
        shown += [f"{row.network}: {doubt}." for row in rows.values() for doubt in row.warnings]
    return shown


def _sentence(one: Comparison, rows: dict[str, Row]) -> str:
    first, other = rows[one.a].network, rows[one.b].network
    return (
        f"{other} beside {first}: {one.verdict}, {one.ratio:.3f} of its median "
        f"({interval(one.low, one.high)}; {first} beside itself "
        f"{interval(one.null_low, one.null_high)})"
    )
