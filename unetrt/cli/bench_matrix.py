"""`unetrt bench-matrix`: time every network, size, batch and precision with every library here."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from unetrt.benchmarks.matrix import matrix
from unetrt.benchmarks.matrix.matrix_spec import spec_here
from unetrt.cli.options import Size
from unetrt.cli.output import ShownProgress, emit
from unetrt.cli.shell import AsJson

__all__ = ["bench_matrix"]


def bench_matrix(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for record and report; an earlier run resumes.")
    ] = Path("bench-out"),
    minutes: Annotated[float, typer.Option(min=0.0, help="Time for all of it.")] = 30.0,
    samples: Annotated[
        int, typer.Option(min=1, help="Timed runs of each row; a 99th percentile takes 662.")
    ] = 662,
    network: Annotated[
        list[str] | None, typer.Option(help="article, paper or small; may be repeated.")
    ] = None,
    size: Annotated[
        list[Size] | None,
        typer.Option(
            parser=Size.read_square, metavar="SIDE", help="In pixels: 512; may be repeated."
        ),
    ] = None,
    batch: Annotated[list[int] | None, typer.Option(help="Images a run; may be repeated.")] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, tf32, fp16, bf16 or int8; may be repeated.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="core or end-to-end; may be repeated.")
    ] = None,
    backend: Annotated[
        list[str] | None, typer.Option(help="Library or other tool; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Time the networks of the papers with every library.

    Writes OUT/record.json after every case, then OUT/report.html and OUT/report.md. Without
    options, all networks, sizes, batches, precisions and libraries that are here.
    """
    spec = spec_here(
        networks=network,
        sizes=[one.height.opt for one in size or []],
        batches=batch,
        precisions=precision,
        scopes=[one.replace("-", "_") for one in scope or []],
        backends=backend,
    )
    record = matrix.bench_matrix(
        spec,
        out,
        minutes=minutes,
        samples=samples,
        progress=ShownProgress(),
        command=shlex.join(["unetrt", *sys.argv[1:]]),
    )
    told = f"{len(record.rows)} rows, {len(record.failures)} failures: {out / matrix.RECORD}"
    emit(record.to_json(), as_json=as_json, shown=[told])
